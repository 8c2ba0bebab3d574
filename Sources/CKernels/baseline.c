#include <math.h>
#include <string.h>

#include "tables.h"

#pragma clang diagnostic ignored "-Wpsabi"

#define KERNEL_ISA 0
#define TABLE ckernels_baseline
#include "table.inc"
