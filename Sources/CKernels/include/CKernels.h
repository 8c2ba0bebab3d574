#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdint.h>

// Float kernels, one body per instruction set in one table of function pointers each.
// No kernel allocates, keeps state or decides anything. Row-major, last axis contiguous.
// Rows r, columns d: element (i, j) stands at i * d + j unless a stride is named. Reductions run in a fixed order.
// Accuracy: exp 1.5e-7 relative, GELU 1e-6 absolute (tested against double on every set).

#pragma clang assume_nonnull begin

// What one AdamW update needs beside the arrays; the bias corrections are 1 - beta^t.
typedef struct {
  float lr, beta1, beta2, eps, weight_decay, bias_correction1, bias_correction2, gradient_scale;
} CKernelsAdamW;

// What products fetch into the second cache meanwhile, `step` floats on with every turn along their sums: up to four
// blocks of `rows` rows. `first` begins the row that is being fetched, `row` and `index` say which; `step` becomes 0
// when all has been asked for. Every pointer must be valid; nothing is read.
typedef struct {
  const float *_Nonnull block[4];
  long stride[4], blocks, rows, width;
  const float *first, *at, *end;
  long row, index, step;
} CKernelsAhead;

// A few rows of the left operand: element (i, k) stands at i * row + k, or at i + k * panel_rows where pack_blocks
// wrote them. `values` must be readable for all panel_rows rows, whatever stands in those past `rows`. Meanwhile the
// rows of the next block are fetched; blocks in one run need no such help, and what `ahead` says is fetched instead.
typedef struct {
  const float *values;
  long row, rows;
  int packed;
  const float *next;
  long next_row, next_rows;
  CKernelsAhead *_Nullable ahead;
} CKernelsPanelBlock;

// One product of a head of attention: c [rows, columns] = a b, or that of a turned where it is said. Element (i, k) of
// a stands at i * a_stride + k, turned at k * a_stride + i; b must be readable, and may hold anything, up to the next
// multiple of 16 columns.
typedef struct {
  const float *a;
  long a_stride;
  const float *b;
  long b_stride;
  float *c;
  long c_stride, rows, columns, inner;
} CKernelsProduct;

typedef struct {
  // elementwise
  void (*fill)(float *y, float value, long n);
  void (*add)(float *y, const float *x, long n);                           // y += x
  void (*sum_of)(const float *a, const float *b, float *y, long n);        // y = a + b
  void (*scaled)(const float *x, float s, float *y, long n);               // y = s x, y may be x
  void (*gelu)(const float *x, float *y, long n);                          // x Phi(x), exact erf
  void (*exponential_average)(float *average, const float *current, long n, float momentum);
  void (*adamw)(float *w, const float *g, float *m, float *v, long n, const CKernelsAdamW *s);
  // dy becomes dx = dy GELU'(x) and x becomes GELU(x); column_sum [d] += the sum of dx over rows
  void (*gelu_backward)(float *dy, float *x, float *column_sum, long rows, long d);
  // rows
  void (*repeat_row)(const float *row, float *y, long rows, long d);       // y[i] = row
  void (*biased_rows)(const float *bias, const float *table, const int32_t *index, float *y, long rows, long d);
  void (*gather_rows)(const float *x, const int32_t *index, float *y, long rows, long d);       // y[i] = x[index[i]]
  void (*scatter_add_rows)(const float *x, const int32_t *index, float *y, long rows, long d);  // y[index[i]] += x[i]
  void (*copy_block)(const float *x, long x_stride, float *y, long y_stride, long rows, long d);
  // reductions
  double (*sum)(const float *x, long n);
  double (*sum_of_squares)(const float *x, long n);
  double (*dot)(const float *a, const float *b, long n);
  long (*non_finite)(const float *x, long n);
  void (*column_sum)(const float *x, long stride, float *sum, long rows, long d);               // sum [d] += rows
  // normalisation: sum = x + branch + branch_bias, y = LN(sum) w + b; without branch, sum is not written
  void (*layernorm)(const float *x, const float *_Nullable branch, const float *_Nullable branch_bias,
                    const float *w, const float *b, float eps, float *sum, float *y, float *mean, float *rstd,
                    long rows, long d);
  // y = LN(sum) w + b as before, from its statistics
  void (*layernorm_again)(const float *sum, const float *mean, const float *rstd, const float *w, const float *b,
                          float *y, long rows, long d);
  // dx = dsum + LN gradient; w_sum, b_sum and x_sum [d] += their column sums
  void (*layernorm_backward)(const float *dy, const float *_Nullable dsum, const float *sum, const float *mean,
                             const float *rstd, const float *w, float *dx, float *w_sum, float *b_sum,
                             float *_Nullable x_sum, long rows, long d);
  void (*normalize_rows)(const float *x, float *y, float eps, long rows, long d);               // unbiased variance
  void (*l2_normalize)(const float *x, float *y, float *inverse, float floor, long rows, long d);
  void (*l2_normalize_backward)(const float *dy, const float *y, const float *inverse, float floor, float *dx,
                                long rows, long d);
  // softmax over scale * s, in place; log_sum [rows] gets the log of the row's sum of exponentials
  void (*softmax)(float *s, long stride, float scale, float *log_sum, long rows, long d);
  void (*softmax_again)(float *s, long stride, float scale, const float *log_sum, long rows, long d);
  // dp becomes scale * p (dp - <p, dp>)
  void (*softmax_backward)(const float *p, float *dp, long stride, float scale, long rows, long d);
  // over columns, in whole vectors: s becomes exp(scale (s - top)); `inverse` [columns] gets one over its column sums,
  // `log_sum` [columns] scale * top + their log
  void (*softmax_columns)(float *s, long stride, float scale, const float *top, float *inverse, float *log_sum,
                          long rows, long columns);
  // dp becomes scale * p (dp - mean[column]), in whole vectors
  void (*softmax_columns_backward)(const float *p, float *dp, long stride, float scale, const float *mean, long rows,
                                   long columns);
  // losses: the summed loss of the rows; targets [rows, d] or labels [rows], the other is null
  double (*cross_entropy)(const float *logits, const float *_Nullable targets, const int32_t *_Nullable labels,
                          float *log_sum, long rows, long d);
  void (*cross_entropy_backward)(const float *logits, const float *_Nullable targets,
                                 const int32_t *_Nullable labels, const float *log_sum, float scale, float *dlogits,
                                 long rows, long d);
  double (*squared_error)(const float *a, const float *b, const float *row_weight, long rows, long d);
  void (*squared_error_backward)(const float *a, const float *b, const float *row_weight, float scale, float *da,
                                 long rows, long d);
  // products of one head, see product.inc; the last three write whole vectors of c and of what belongs to its columns
  void (*product)(const CKernelsProduct *p, CKernelsAhead *ahead);
  // of a turned, rows times their factor
  void (*product_turned)(const CKernelsProduct *p, const float *_Nullable factor, CKernelsAhead *ahead);
  // top [columns] = the larger of it and of the column of c
  void (*product_maxima)(const CKernelsProduct *p, float *top, CKernelsAhead *ahead);
  // c = exp(scale a b - shift[column])
  void (*product_exp)(const CKernelsProduct *p, float scale, const float *shift, CKernelsAhead *ahead);
  // sum [columns] += the column sums of c times weight, which lies like c
  void (*product_weighted)(const CKernelsProduct *p, const float *weight, float *sum, CKernelsAhead *ahead);
  // y [d, rows rounded up to 16] = x [rows, d] transposed, the last row again and again past it
  void (*transpose)(const float *x, long x_stride, float *y, long y_stride, long rows, long d);
  // c [rows, n] = the products of rows of a with rows of b, both d long; n is at least 16
  void (*dots)(const float *a, long a_stride, const float *b, long b_stride, float *c, long c_stride, long rows, long n,
               long d);
  // large products, see panels.inc: rows of a block, columns of a panel, and packing both
  long panel_rows, panel_columns;
  // c [block's rows, columns] = block times the packed panels, added to c or to `row` [columns] if that is wanted
  void (*panel_product)(const CKernelsPanelBlock *block, const float *packed, float *c, long c_row, long columns,
                        long inner, int accumulate, const float *_Nullable row);
  // x [inner, columns] -> panels of panel_columns, each [inner, panel_columns], zeros past the last column up to a
  // multiple of 16
  void (*pack_panels)(const float *x, long x_stride, float *y, long inner, long columns);
  // x [columns, inner] -> the same panels of its transpose, the last column again and again where zeros stand there
  void (*pack_panels_transposed)(const float *x, long x_stride, float *y, long inner, long columns);
  // x [inner, columns] -> blocks of panel_rows, each [inner, panel_rows], zeros past the last column
  void (*pack_blocks)(const float *x, long x_stride, float *y, long inner, long columns);
  // found gets i * stride + j, in rising order, of every score (i, j) above threshold[j]; returns how many there are.
  // Both must be readable up to the next multiple of 16 columns
  long (*find_above)(const float *scores, long stride, const float *threshold, int32_t *found, long rows,
                     long columns);
  // y = x0 + s x1, the loop that memory speed is measured with
  void (*triad)(float *y, const float *x0, const float *x1, float s, long n);
} CKernelsTable;

// Instruction sets in rising order.
enum { CKERNELS_BASELINE = 0, CKERNELS_AVX2 = 1, CKERNELS_AVX512 = 2 };

// Whether this machine runs the set.
int ckernels_supported(int isa);
// The kernels of a supported set.
const CKernelsTable *ckernels_table(int isa);
// Makes this thread treat subnormal numbers as zero: softmax tails are full of them, and each costs 100 cycles.
void ckernels_flush_subnormals(void);
// Whether the calling thread is the one that main runs on; Swift on Linux has no name for gettid.
int ckernels_on_main_thread(void);

#pragma clang assume_nonnull end
#endif
