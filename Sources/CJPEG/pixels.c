#include "CJPEG.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#endif

enum { FRACTION_BITS = 22, ROUNDING = 1 << (FRACTION_BITS - 1) };

static inline uint8_t clip(int32_t sum) {
  int32_t value = sum >> FRACTION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

int cimage_has_avx2(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return 0;
#endif
}

static void filter_row_baseline(const uint8_t *row, const cimage_filter *filter, int mirror, uint8_t *out) {
  int taps = filter->taps, outputs = filter->outputs;
  for (int o = 0; o < outputs; o++) {
    const uint8_t *source = row + 4 * (size_t)filter->starts[o];
    const int16_t *high = filter->high + (size_t)o * (size_t)taps, *low = filter->low + (size_t)o * (size_t)taps;
    int32_t sums[4] = {ROUNDING, ROUNDING, ROUNDING, ROUNDING};
    for (int t = 0; t < taps; t++) {
      int32_t weight = high[t] * 256 + low[t];
      for (int c = 0; c < 4; c++) sums[c] += source[4 * t + c] * weight;
    }
    uint8_t *pixel = out + 4 * (size_t)(mirror ? outputs - 1 - o : o);
    for (int c = 0; c < 4; c++) pixel[c] = clip(sums[c]);
  }
}

static void filter_column_baseline(
    const uint8_t *base, size_t stride, int rows, const cimage_filter *filter, int o, int begin, int end,
    uint8_t *out) {
  int taps = filter->taps, start = filter->starts[o];
  const int16_t *high = filter->high + (size_t)o * (size_t)taps, *low = filter->low + (size_t)o * (size_t)taps;
  for (int x = begin; x < end; x++) {
    int32_t sum = ROUNDING;
    for (int t = 0; t < taps; t++) {
      int y = start + t < rows ? start + t : rows - 1;
      sum += base[(size_t)y * stride + (size_t)x] * (high[t] * 256 + low[t]);
    }
    out[x] = clip(sum);
  }
}

static inline float normalised(uint32_t value, float mean, float deviation) {
  return ((float)(int32_t)value / 255.0f - mean) / deviation;
}

static inline void normalise_body(
    const uint8_t *pixels, int count, const float *mean, const float *deviation, float *restrict red,
    float *restrict green, float *restrict blue) {
  for (int i = 0; i < count; i++) {
    uint32_t pixel;
    __builtin_memcpy(&pixel, pixels + 4 * (size_t)i, 4);
    red[i] = normalised(pixel & 255, mean[0], deviation[0]);
    green[i] = normalised(pixel >> 8 & 255, mean[1], deviation[1]);
    blue[i] = normalised(pixel >> 16 & 255, mean[2], deviation[2]);
  }
}

#if defined(__x86_64__)
static inline AVX2 __m256i pair_of(const int16_t *weights) {
  int32_t pair;
  __builtin_memcpy(&pair, weights, 4);
  return _mm256_set1_epi32(pair);
}

static inline AVX2 void store_pixel(__m256i coarse, __m256i fine, uint8_t *out) {
  __m256i both = _mm256_add_epi32(_mm256_slli_epi32(coarse, 8), fine);
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(ROUNDING)), FRACTION_BITS);
  __m128i words = _mm_packs_epi32(sum, sum);
  int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  __builtin_memcpy(out, &pixel, 4);
}

// Four rows at a time share the weights. Four taps a round: the lower lane takes taps 0 and 1, the upper lane taps
// 2 and 3, each as 16-bit pairs by channel.
AVX2 static void filter_four_rows_avx2(
    const uint8_t *const rows[4], const cimage_filter *filter, int mirror, uint8_t *const outs[4]) {
  const char no = -1;
  const __m256i pairs = _mm256_setr_epi8(
      0, no, 4, no, 1, no, 5, no, 2, no, 6, no, 3, no, 7, no, 8, no, 12, no, 9, no, 13, no, 10, no, 14, no, 11, no, 15,
      no);
  const __m256i spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  int taps = filter->taps, outputs = filter->outputs;
  for (int o = 0; o < outputs; o++) {
    size_t start = 4 * (size_t)filter->starts[o], to = 4 * (size_t)(mirror ? outputs - 1 - o : o);
    const int16_t *high = filter->high + (size_t)o * (size_t)taps, *low = filter->low + (size_t)o * (size_t)taps;
    __m256i coarse[4], fine[4];
    for (int r = 0; r < 4; r++) coarse[r] = fine[r] = _mm256_setzero_si256();
    for (int t = 0; t < taps; t += 4) {
      __m256i h = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(high + t)));
      __m256i l = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(low + t)));
      h = _mm256_permutevar8x32_epi32(h, spread);
      l = _mm256_permutevar8x32_epi32(l, spread);
      for (int r = 0; r < 4; r++) {
        __m128i four = _mm_loadu_si128((const __m128i *)(rows[r] + start + 4 * t));
        __m256i values = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), pairs);
        coarse[r] = _mm256_add_epi32(coarse[r], _mm256_madd_epi16(values, h));
        fine[r] = _mm256_add_epi32(fine[r], _mm256_madd_epi16(values, l));
      }
    }
    for (int r = 0; r < 4; r++) store_pixel(coarse[r], fine[r], outs[r] + to);
  }
}

// Two rows a round, 16 bytes wide: bytes of both rows interleaved are the 16-bit pairs.
AVX2 static void filter_column_avx2(
    const uint8_t *base, size_t stride, int rows, const cimage_filter *filter, int o, int bytes, uint8_t *out) {
  int taps = filter->taps, start = filter->starts[o], x = 0;
  const int16_t *high = filter->high + (size_t)o * (size_t)taps, *low = filter->low + (size_t)o * (size_t)taps;
  for (; x + 16 <= bytes; x += 16) {
    __m256i coarse0 = _mm256_setzero_si256(), coarse1 = coarse0, fine0 = coarse0, fine1 = coarse0;
    for (int t = 0; t < taps; t += 2) {
      int y0 = start + t < rows ? start + t : rows - 1, y1 = start + t + 1 < rows ? start + t + 1 : rows - 1;
      __m128i a = _mm_loadu_si128((const __m128i *)(base + (size_t)y0 * stride + (size_t)x));
      __m128i b = _mm_loadu_si128((const __m128i *)(base + (size_t)y1 * stride + (size_t)x));
      __m256i v0 = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), v1 = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
      __m256i h = pair_of(high + t), l = pair_of(low + t);
      coarse0 = _mm256_add_epi32(coarse0, _mm256_madd_epi16(v0, h));
      coarse1 = _mm256_add_epi32(coarse1, _mm256_madd_epi16(v1, h));
      fine0 = _mm256_add_epi32(fine0, _mm256_madd_epi16(v0, l));
      fine1 = _mm256_add_epi32(fine1, _mm256_madd_epi16(v1, l));
    }
    const __m256i half = _mm256_set1_epi32(ROUNDING);
    __m256i s0 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(coarse0, 8), fine0), half);
    __m256i s1 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(coarse1, 8), fine1), half);
    __m256i words = _mm256_packs_epi32(_mm256_srai_epi32(s0, FRACTION_BITS), _mm256_srai_epi32(s1, FRACTION_BITS));
    words = _mm256_permute4x64_epi64(words, 0xD8);
    __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(out + x), packed);
  }
  filter_column_baseline(base, stride, rows, filter, o, x, bytes, out);
}

AVX2 static void normalise_avx2(
    const uint8_t *pixels, int count, const float *mean, const float *deviation, float *red, float *green,
    float *blue) {
  normalise_body(pixels, count, mean, deviation, red, green, blue);
}
#endif

void cimage_filter_rows(
    const uint8_t *base, size_t stride, int count, const cimage_filter *filter, int mirror, uint8_t *out, int avx2) {
  size_t step = 4 * (size_t)filter->outputs;
#if defined(__x86_64__)
  for (int y = 0; avx2 && y < count; y += 4) {
    const uint8_t *rows[4];
    uint8_t *outs[4];
    for (int r = 0; r < 4; r++) {
      int row = y + r < count ? y + r : count - 1;  // the last row may be made more than once
      rows[r] = base + (size_t)row * stride;
      outs[r] = out + (size_t)row * step;
    }
    filter_four_rows_avx2(rows, filter, mirror, outs);
  }
  if (avx2) return;
#endif
  (void)avx2;
  for (int y = 0; y < count; y++)
    filter_row_baseline(base + (size_t)y * stride, filter, mirror, out + (size_t)y * step);
}

void cimage_filter_column(
    const uint8_t *rows_base, size_t stride, int rows, const cimage_filter *filter, int o, int width, uint8_t *out,
    int avx2) {
#if defined(__x86_64__)
  if (avx2) return filter_column_avx2(rows_base, stride, rows, filter, o, 4 * width, out);
#endif
  (void)avx2;
  filter_column_baseline(rows_base, stride, rows, filter, o, 0, 4 * width, out);
}

void cimage_normalise(
    const uint8_t *pixels, int count, const float *mean, const float *deviation, float *red, float *green,
    float *blue, int avx2) {
#if defined(__x86_64__)
  if (avx2) return normalise_avx2(pixels, count, mean, deviation, red, green, blue);
#endif
  (void)avx2;
  normalise_body(pixels, count, mean, deviation, red, green, blue);
}
