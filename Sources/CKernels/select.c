#define _GNU_SOURCE
#include <unistd.h>

#include "tables.h"

#ifdef __x86_64__
#include <immintrin.h>

int ckernels_supported(int isa) {
  if (isa == CKERNELS_AVX512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (isa == CKERNELS_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return isa == CKERNELS_BASELINE;
}

const CKernelsTable *ckernels_table(int isa) {
  if (isa == CKERNELS_AVX512) return &ckernels_avx512;
  return isa == CKERNELS_AVX2 ? &ckernels_avx2 : &ckernels_baseline;
}

void ckernels_flush_subnormals(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }

#else

int ckernels_supported(int isa) { return isa == CKERNELS_BASELINE; }

const CKernelsTable *ckernels_table(int isa) {
  (void)isa;
  return &ckernels_baseline;
}

void ckernels_flush_subnormals(void) {}
#endif

int ckernels_on_main_thread(void) { return gettid() == getpid(); }
