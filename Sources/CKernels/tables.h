#ifndef CKERNELS_TABLES_H
#define CKERNELS_TABLES_H

#include "include/CKernels.h"

extern const CKernelsTable ckernels_baseline, ckernels_avx2, ckernels_avx512;

#endif
