#ifndef COPENBLAS_SHIM_H
#define COPENBLAS_SHIM_H

#include <cblas.h>
#include <stddef.h>

// c[m,n] = alpha op(a) op(b) + beta c, row-major; a transposed operand is stored [k,m] or [n,k].
static inline void openblas_product(_Bool transpose_a, _Bool transpose_b, long m, long n, long k, float alpha,
                                    const float *_Nonnull a, long lda, const float *_Nonnull b, long ldb, float beta,
                                    float *_Nonnull c, long ldc) {
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

// The library's own threads stay off: rows are split over the program's thread team.
static inline void openblas_use_one_thread(void) { openblas_set_num_threads(1); }

// Name, version and core of the library, for bench and the header of a run.
static inline const char *_Nonnull openblas_description(void) { return openblas_get_config(); }

// LAPACK: all eigenvalues of a symmetric matrix, ascending; a is overwritten. Fortran calling convention.
void dsyev_(const char *_Nonnull jobz, const char *_Nonnull uplo, const blasint *_Nonnull n, double *_Nonnull a,
            const blasint *_Nonnull lda, double *_Nonnull w, double *_Nonnull work, const blasint *_Nonnull lwork,
            blasint *_Nonnull info, size_t jobz_length, size_t uplo_length);

#endif
