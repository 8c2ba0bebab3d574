#include <math.h>
#include <string.h>

#include "tables.h"

#ifdef __x86_64__
#include <immintrin.h>

#pragma clang diagnostic ignored "-Wpsabi"
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)

#define KERNEL_ISA 512
#define TABLE ckernels_avx512
#include "table.inc"

#pragma clang attribute pop
#endif
