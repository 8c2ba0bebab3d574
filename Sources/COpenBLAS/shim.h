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

// c[m,n] = op(a) op(b) + beta c in double precision.
static inline void openblas_product_double(_Bool transpose_a, _Bool transpose_b, long m, long n, long k,
                                           const double *_Nonnull a, long lda, const double *_Nonnull b, long ldb,
                                           double beta, double *_Nonnull c, long ldc) {
  cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              (blasint)m, (blasint)n, (blasint)k, 1, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

// One triangle of c[n,n] += aT a in double, row-major; a is stored [m,n].
static inline void openblas_add_gram(long m, long n, const double *_Nonnull a, double *_Nonnull c) {
  cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (blasint)n, (blasint)m, 1, a, (blasint)n, 1, c, (blasint)n);
}

// The library's own threads stay off: rows are split over the program's thread team.
static inline void openblas_use_one_thread(void) { openblas_set_num_threads(1); }

// Name, version and core of the library, for bench and the header of a run.
static inline const char *_Nonnull openblas_description(void) { return openblas_get_config(); }

// LAPACK: all eigenvalues of a symmetric matrix, ascending; a is overwritten. Fortran calling convention.
void dsyev_(const char *_Nonnull jobz, const char *_Nonnull uplo, const blasint *_Nonnull n, double *_Nonnull a,
            const blasint *_Nonnull lda, double *_Nonnull w, double *_Nonnull work, const blasint *_Nonnull lwork,
            blasint *_Nonnull info, size_t jobz_length, size_t uplo_length);

// LAPACK: the same by divide and conquer, with the eigenvectors, the columns of a, when jobz is "V".
void dsyevd_(const char *_Nonnull jobz, const char *_Nonnull uplo, const blasint *_Nonnull n, double *_Nonnull a,
             const blasint *_Nonnull lda, double *_Nonnull w, double *_Nonnull work, const blasint *_Nonnull lwork,
             blasint *_Nonnull iwork, const blasint *_Nonnull liwork, blasint *_Nonnull info, size_t jobz_length,
             size_t uplo_length);

#endif
