#include <gtest/gtest.h>
#include "dicom/data_set_scanner.hpp"
