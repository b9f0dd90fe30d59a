#include "crypto/secp256k1.hpp"
