#include "CJPEG.h"

// Each loop is written once and compiled for every instruction set: the arithmetic, and so every byte, is the same.
// Pillow computes in float, double and integers; the types below are its own, and products and sums are never fused
// (the target is compiled with -ffp-contract=off).
#define BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2"))) static
#define CHOOSE(name, ...) \
  do { \
    if (avx2) return name##_avx2(__VA_ARGS__); \
    return name##_baseline(__VA_ARGS__); \
  } while (0)
#else
#define CHOOSE(name, ...) \
  do { \
    (void)avx2; \
    return name##_baseline(__VA_ARGS__); \
  } while (0)
#endif

BODY uint32_t load_pixel(const uint8_t *pixels, int i) {
  uint32_t pixel;
  __builtin_memcpy(&pixel, pixels + 4 * (size_t)i, 4);
  return pixel;
}

BODY void store_pixel(uint8_t *pixels, int i, uint32_t red, uint32_t green, uint32_t blue, uint32_t fourth) {
  uint32_t pixel = red | green << 8 | blue << 16 | fourth << 24;
  __builtin_memcpy(pixels + 4 * (size_t)i, &pixel, 4);
}

// 0.299 R + 0.587 G + 0.114 B in 16 fraction bits, rounded.
BODY uint32_t luma(uint32_t red, uint32_t green, uint32_t blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

BODY uint64_t luma_sum_body(const uint8_t *pixels, int count) {
  uint64_t sum = 0;
  for (int first = 0; first < count; first += 1 << 16) {
    int end = count - first < 1 << 16 ? count : first + (1 << 16);
    uint32_t part = 0;
    for (int i = first; i < end; i++) {
      uint32_t pixel = load_pixel(pixels, i);
      part += luma(pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255);
    }
    sum += part;
  }
  return sum;
}

BODY uint32_t mixed(uint32_t from, uint32_t to, float share) {
  float value = (float)(int32_t)from + share * (float)((int32_t)to - (int32_t)from);
  value = value < 0.0f ? 0.0f : value;
  value = value > 255.0f ? 255.0f : value;
  return (uint32_t)(int32_t)value;
}

BODY void blend_body(uint8_t *pixels, int count, int own, uint32_t grey, float share) {
  for (int i = 0; i < count; i++) {
    uint32_t pixel = load_pixel(pixels, i);
    uint32_t red = pixel & 255, green = pixel >> 8 & 255, blue = pixel >> 16 & 255;
    uint32_t from = own ? luma(red, green, blue) : grey;
    store_pixel(
        pixels, i, mixed(from, red, share), mixed(from, green, share), mixed(from, blue, share), pixel >> 24);
  }
}

BODY void solarise_body(uint8_t *pixels, int count, int threshold) {
  for (size_t i = 0; i < 4 * (size_t)count; i++) {
    uint8_t value = pixels[i];
    pixels[i] = value >= threshold ? (uint8_t)(255 - value) : value;
  }
}

// Hue of 8 bits, 0 for greys. Pillow takes the difference of two channels' distances from the highest, over the range:
// the distance of the lowest is the range itself, so 1 - middle is left, with its sign.
BODY int hue_of(int red, int green, int blue, int high, int low) {
  int is_red = red == high, is_green = green == high;
  int rises = is_red ? blue == low : is_green ? red == low : green == low;
  float middle = (float)(high + high + low - red - green - blue) / (float)(high == low ? 1 : high - low);
  double distance = high == low ? 0.0 : 1.0 - (double)middle;
  double sector = is_red ? 0.0 : is_green ? 2.0 : 4.0;
  float sixths = (float)(rises ? sector + distance : sector - distance);
  double turn = (double)sixths * (1.0 / 6.0) + 1.0;
  float hue = (float)(turn >= 1.0 ? turn - 1.0 : turn);
  return (int)((double)hue * 255.0);
}

// value * part for 0 <= part <= 1, halves upwards.
BODY uint32_t rounded(double product) {
  int32_t below = (int32_t)product;
  return (uint32_t)(below + (product - (double)below >= 0.5));
}

// RGB -> HSV of 8 bits, hue + turn modulo 256, -> RGB. Where Pillow divides small whole numbers by 255 in double and
// keeps a float, a float division gives the same; its third result, v (255 - s) / 255, is never half way.
BODY void turn_hue_body(uint8_t *pixels, int count, int turn) {
  for (int i = 0; i < count; i++) {
    uint32_t pixel = load_pixel(pixels, i);
    int red = (int)(pixel & 255), green = (int)(pixel >> 8 & 255), blue = (int)(pixel >> 16 & 255);
    int high = red > green ? red : green, low = red > green ? green : red;
    high = high > blue ? high : blue;
    low = low < blue ? low : blue;
    int hue = (hue_of(red, green, blue, high, low) + turn) & 255;
    float purity = (float)(high - low) / (float)(high == 0 ? 1 : high);
    int whole = (int)((double)purity * 255.0), dull = high * (255 - whole) + 128;
    int sixth = (hue * 6 * 257 + 257) >> 16;  // hue * 6 / 255
    float saturation = (float)whole / 255.0f, rest = (float)(hue * 6 - sixth * 255) / 255.0f;
    double value = (double)high, pure = (double)saturation;
    uint32_t v = (uint32_t)high, p = (uint32_t)(dull + (dull >> 8)) >> 8;
    uint32_t q = rounded(value * (1.0 - (double)(saturation * rest)));
    uint32_t t = rounded(value * (1.0 - pure * (1.0 - (double)rest)));
    sixth = sixth == 6 ? 0 : sixth;
    store_pixel(
        pixels, i, sixth == 0 || sixth == 5 ? v : sixth == 1 ? q : sixth == 4 ? t : p,
        sixth == 1 || sixth == 2 ? v : sixth == 0 ? t : sixth == 3 ? q : p,
        sixth == 3 || sixth == 4 ? v : sixth == 2 ? t : sixth == 5 ? q : p, pixel >> 24);
  }
}

// One row of a box: the sums of its column move by one row, and the rows at both ends count in part.
BODY void box_row(
    const uint8_t *behind, const uint8_t *ahead, const uint8_t *beyond, int bytes, uint32_t whole, uint32_t part,
    uint32_t *restrict sums, uint8_t *restrict out) {
  for (int x = 0; x < bytes; x++) {
    uint32_t sum = sums[x] + ahead[x] - behind[x];
    sums[x] = sum;
    out[x] = (uint8_t)((sum * whole + ((uint32_t)behind[x] + beyond[x]) * part + (1u << 23)) >> 24);
  }
}

BODY int clamped(int row, int rows) { return row < 0 ? 0 : row < rows ? row : rows - 1; }

BODY void box_blur_body(
    const uint8_t *pixels, int bytes, int rows, const cimage_box *box, uint32_t *sums, uint8_t *out) {
  int radius = box->radius;
  size_t stride = (size_t)bytes;
  for (int x = 0; x < bytes; x++) sums[x] = pixels[x] * (uint32_t)(radius + 1);
  for (int y = 0; y < radius; y++) {
    const uint8_t *row = pixels + (size_t)clamped(y, rows) * stride;
    for (int x = 0; x < bytes; x++) sums[x] += row[x];
  }
  for (int y = 0; y < rows; y++) {
    const uint8_t *behind = pixels + (size_t)clamped(y - radius - 1, rows) * stride;
    const uint8_t *ahead = pixels + (size_t)clamped(y + radius, rows) * stride;
    const uint8_t *beyond = pixels + (size_t)clamped(y + radius + 1, rows) * stride;
    box_row(behind, ahead, beyond, bytes, box->whole, box->part, sums, out + (size_t)y * stride);
  }
}

// The bodies for the machine's baseline and for AVX2, and the choice between them.
#define BASELINE static __attribute__((noinline))

BASELINE uint64_t luma_sum_baseline(const uint8_t *pixels, int count) { return luma_sum_body(pixels, count); }
BASELINE void blend_baseline(uint8_t *pixels, int count, int own, uint32_t grey, float share) {
  if (own) return blend_body(pixels, count, 1, 0, share);
  blend_body(pixels, count, 0, grey, share);
}
BASELINE void solarise_baseline(uint8_t *pixels, int count, int threshold) { solarise_body(pixels, count, threshold); }
BASELINE void turn_hue_baseline(uint8_t *pixels, int count, int turn) { turn_hue_body(pixels, count, turn); }
BASELINE void box_blur_baseline(
    const uint8_t *pixels, int bytes, int rows, const cimage_box *box, uint32_t *sums, uint8_t *out) {
  box_blur_body(pixels, bytes, rows, box, sums, out);
}

#if defined(__x86_64__)
AVX2 uint64_t luma_sum_avx2(const uint8_t *pixels, int count) { return luma_sum_body(pixels, count); }
AVX2 void blend_avx2(uint8_t *pixels, int count, int own, uint32_t grey, float share) {
  if (own) return blend_body(pixels, count, 1, 0, share);
  blend_body(pixels, count, 0, grey, share);
}
AVX2 void solarise_avx2(uint8_t *pixels, int count, int threshold) { solarise_body(pixels, count, threshold); }
AVX2 void turn_hue_avx2(uint8_t *pixels, int count, int turn) { turn_hue_body(pixels, count, turn); }
AVX2 void box_blur_avx2(
    const uint8_t *pixels, int bytes, int rows, const cimage_box *box, uint32_t *sums, uint8_t *out) {
  box_blur_body(pixels, bytes, rows, box, sums, out);
}
#endif

uint64_t cimage_luma_sum(const uint8_t *pixels, int count, int avx2) { CHOOSE(luma_sum, pixels, count); }

void cimage_blend_grey(uint8_t *pixels, int count, uint8_t grey, float share, int avx2) {
  CHOOSE(blend, pixels, count, 0, grey, share);
}

void cimage_blend_luma(uint8_t *pixels, int count, float share, int avx2) {
  CHOOSE(blend, pixels, count, 1, 0, share);
}

void cimage_solarise(uint8_t *pixels, int count, int threshold, int avx2) {
  CHOOSE(solarise, pixels, count, threshold);
}

void cimage_turn_hue(uint8_t *pixels, int count, uint8_t turn, int avx2) { CHOOSE(turn_hue, pixels, count, turn); }

void cimage_box_blur(
    const uint8_t *pixels, int width, int height, const cimage_box *box, uint32_t *sums, uint8_t *out, int avx2) {
  CHOOSE(box_blur, pixels, 4 * width, height, box, sums, out);
}

void cimage_transpose(const uint8_t *pixels, int width, int height, uint8_t *out) {
  enum { SIDE = 8 };
  for (int top = 0; top < height; top += SIDE) {
    for (int left = 0; left < width; left += SIDE) {
      int bottom = top + SIDE < height ? top + SIDE : height, right = left + SIDE < width ? left + SIDE : width;
      for (int x = left; x < right; x++) {
        uint8_t *row = out + 4 * (size_t)x * (size_t)height;
        for (int y = top; y < bottom; y++)
          __builtin_memcpy(row + 4 * (size_t)y, pixels + 4 * ((size_t)y * (size_t)width + (size_t)x), 4);
      }
    }
  }
}
