// MPI for Swift: the constants that are macros or addresses become functions, the words of memory that ranks of one
// node share are read and written as atomics, and their numbers are added. No decisions, no state.
#pragma once
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <stdint.h>

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_self(void) { return MPI_COMM_SELF; }
static inline MPI_Comm cmpi_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline const void *cmpi_in_place(void) { return MPI_IN_PLACE; }

static inline MPI_Status *cmpi_statuses_ignore(void) { return MPI_STATUSES_IGNORE; }

static inline MPI_Datatype cmpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype cmpi_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype cmpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Datatype cmpi_int32(void) { return MPI_INT32_T; }
static inline MPI_Datatype cmpi_byte(void) { return MPI_BYTE; }

static inline MPI_Op cmpi_sum(void) { return MPI_SUM; }
static inline MPI_Op cmpi_max(void) { return MPI_MAX; }
static inline MPI_Op cmpi_min(void) { return MPI_MIN; }

static inline int cmpi_success(void) { return MPI_SUCCESS; }
static inline int cmpi_thread_funneled(void) { return MPI_THREAD_FUNNELED; }
static inline int cmpi_comm_type_shared(void) { return MPI_COMM_TYPE_SHARED; }
static inline int cmpi_undefined(void) { return MPI_UNDEFINED; }
static inline int cmpi_max_error_string(void) { return MPI_MAX_ERROR_STRING; }

// 1 when the error class says that the caller passed something wrong, 0 when the library or a peer failed.
static inline int cmpi_is_argument_error(int code) {
  int class = MPI_ERR_UNKNOWN;
  MPI_Error_class(code, &class);
  switch (class) {
    case MPI_ERR_BUFFER: case MPI_ERR_COUNT: case MPI_ERR_TYPE: case MPI_ERR_TAG: case MPI_ERR_COMM:
    case MPI_ERR_RANK: case MPI_ERR_ROOT: case MPI_ERR_GROUP: case MPI_ERR_OP: case MPI_ERR_ARG:
    case MPI_ERR_TRUNCATE:
      return 1;
    default:
      return 0;
  }
}

static inline int64_t cmpi_shared_load(const int64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void cmpi_shared_store(int64_t *word, int64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline int cmpi_shared_claim(int64_t *word, int64_t owner) {
  int64_t expected = 0;
  return __atomic_compare_exchange_n(word, &expected, owner, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

// Lets the library move what it has in its hands: a message that was handed over may wait for the next MPI call.
static inline int cmpi_progress(MPI_Comm comm) {
  int found = 0;
  return MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &found, MPI_STATUS_IGNORE);
}

// One turn of a loop that waits for a word of another core.
static inline void cmpi_pause(void) { __builtin_ia32_pause(); }

// Four floats that may stand anywhere.
typedef float cmpi_four __attribute__((vector_size(16), aligned(4), may_alias));
// Floats of a cache line.
enum { cmpi_line = 16 };

// Both below go line by line and fetch the line of `next` that stands as far on, so that main memory works while values
// pass between caches. `next` is a hint and may end early; null for none.

// to[i] = from[i]; the two do not overlap.
static inline void cmpi_copy(float *to, const float *from, int64_t count, const float *next) {
  int64_t i = 0;
  for (; i + cmpi_line <= count; i += cmpi_line) {
    if (next) __builtin_prefetch(next + i, 0, 2);
    for (int j = 0; j < cmpi_line; j += 4) *(cmpi_four *)(to + i + j) = *(const cmpi_four *)(from + i + j);
  }
  for (; i < count; i++) to[i] = from[i];
}

// sum[i] = a[i] + b[i]; `sum` may be `a` or `b` itself.
static inline void cmpi_add(float *sum, const float *a, const float *b, int64_t count, const float *next) {
  int64_t i = 0;
  for (; i + cmpi_line <= count; i += cmpi_line) {
    if (next) __builtin_prefetch(next + i, 0, 2);
    for (int j = 0; j < cmpi_line; j += 4)
      *(cmpi_four *)(sum + i + j) = *(const cmpi_four *)(a + i + j) + *(const cmpi_four *)(b + i + j);
  }
  for (; i < count; i++) sum[i] = a[i] + b[i];
}

// to[i] = first[i] + the arrays of `from` at `start` + i, at least one, added in their order, for `count` floats. `to`
// may be one of them: a line is read from all before it is written. Nothing is fetched by hand, which was slower.
__attribute__((always_inline)) static inline void cmpi_add_lines(
    float *to, const float *first, float *const *from, int64_t terms, int64_t start, int64_t count) {
  // The compiler cannot know that `to` does not change the pointers.
  const float *second = from[0] + start;
  int64_t i = 0;
  for (; i + cmpi_line <= count; i += cmpi_line) {
    cmpi_four sum[cmpi_line / 4];
    for (int j = 0; j < cmpi_line / 4; j++)
      sum[j] = ((const cmpi_four *)(first + i))[j] + ((const cmpi_four *)(second + i))[j];
    for (int64_t term = 1; term < terms; term++) {
      const float *line = from[term] + start + i;
      for (int j = 0; j < cmpi_line / 4; j++) sum[j] += ((const cmpi_four *)line)[j];
    }
    for (int j = 0; j < cmpi_line / 4; j++) ((cmpi_four *)(to + i))[j] = sum[j];
  }
  for (; i < count; i++) {
    float sum = first[i] + second[i];
    for (int64_t term = 1; term < terms; term++) sum += from[term][start + i];
    to[i] = sum;
  }
}

// to[i] = the sum of the arrays of `from`, at least two, added in their order, in [start, end). `to` may be one of
// them. The hardware cannot follow many arrays: where there are more, a few go through at a time, and a page of partial
// sums stays in the first cache between them.
static inline void cmpi_add_arrays(float *to, float *const *from, int64_t terms, int64_t start, int64_t end) {
  enum { few = 16, page = 1024 };
  float partial[page];
  const int64_t step = terms <= 1 + few ? end - start : page;
  for (int64_t at = start; at < end; at += step) {
    const int64_t count = end - at < step ? end - at : step;
    const float *sums = from[0] + at;
    for (int64_t term = 1; term < terms; term += few) {
      const int64_t now = terms - term < few ? terms - term : few;
      float *out = term + now == terms ? to + at : partial;
      // Two arrays are the common case, and faster without a loop over terms.
      if (now == 1) cmpi_add_lines(out, sums, from + term, 1, at, count);
      else cmpi_add_lines(out, sums, from + term, now, at, count);
      sums = partial;
    }
  }
}
