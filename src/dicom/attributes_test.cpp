#include <gtest/gtest.h>
#include "dicom/attributes.hpp"
TEST(x,y){}
