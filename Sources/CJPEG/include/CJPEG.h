// JPEG and PNG through libjpeg-turbo and libpng, and the pixel loops around them.
// Nothing here decides anything: sizes, boxes, filter weights and the instruction set come from Swift.
// Every function is thread-safe and keeps no state.
#pragma once
#include <stddef.h>
#include <stdint.h>

// What a codec function returns; the message buffer then holds the library's words.
enum {
  CJPEG_OK = 0,
  CJPEG_CORRUPT = 1,      // not a file of this kind, truncated, or damaged
  CJPEG_TOO_LARGE = 2,    // more than CJPEG_MAXIMUM_PIXELS
  CJPEG_BAD_REQUEST = 3,  // a box outside of the image, or a picture that cannot be encoded
};

#define CJPEG_MESSAGE_BYTES 256
// A quarter of a GiB of RGB. A header that claims more is refused before any memory is taken for it.
#define CJPEG_MAXIMUM_PIXELS 89478485
// A progressive file with more scans than this is refused: it costs time and holds no picture.
#define CJPEG_MAXIMUM_SCANS 500

// A region in the coordinates of the scaled image, each side ceil(side * eighths / 8).
typedef struct {
  int eighths;   // 1 ... 8: how much of each 8x8 block is reconstructed
  int left, top, width, height;
  int channels;  // 3: RGB, 4: RGB and a byte without meaning
} cjpeg_region;

// Reads the size from the header and checks that an end-of-image marker follows it.
int cjpeg_read_size(const uint8_t *bytes, size_t count, int *width, int *height, char *message);

// Decodes at least the region: the rows top ... top + height - 1, and the columns *first ... *first + *columns - 1,
// which hold left ... left + width - 1. Row r begins at out + r * *columns * channels. `capacity` bytes of
// (width + 160) * (height + 1) * channels are always enough.
int cjpeg_decode(
    const uint8_t *bytes, size_t count, const cjpeg_region *region, uint8_t *out, size_t capacity, int *first,
    int *columns, char *message);

// Encodes rows of RGB (channels 3) or grey (channels 1). *out is freed by cjpeg_free.
// `full_colour` keeps colour at full resolution (4:4:4) instead of half (4:2:0).
int cjpeg_encode(
    const uint8_t *pixels, int width, int height, int channels, int quality, int full_colour, uint8_t **out,
    size_t *count, char *message);
void cjpeg_free(uint8_t *bytes);

// Encodes a PNG into out, which holds *count bytes (cpng_bound is always enough), and sets *count.
size_t cpng_bound(int width, int height, int channels);
int cpng_encode(
    const uint8_t *pixels, int width, int height, int channels, uint8_t *out, size_t *count, char *message);

// What stands in a PNG: `channels` as stored (1: grey or palette), `bits` of each.
typedef struct {
  int width, height, channels, bits;
} cpng_header;

int cpng_read_header(const uint8_t *bytes, size_t count, cpng_header *header, char *message);

// Decodes a PNG of at most 8 bits a channel to bytes [height, width, channels]: the stored numbers, neither stretched
// to 0 ... 255 nor looked up in the palette.
int cpng_decode(const uint8_t *bytes, size_t count, uint8_t *out, size_t capacity, char *message);

// Filter weights of one axis: output o is the sum over t < taps of source[starts[o] + t] * weight(o, t) / 2^22.
// The 23-bit weight is split as high * 256 + low, both of which fit the 16-bit products of every instruction set;
// `taps` is a multiple of 4 and unused taps have weight 0.
typedef struct {
  const int32_t *starts;  // [outputs]
  const int16_t *high;    // [outputs, taps]
  const int16_t *low;     // [outputs, taps]
  int outputs, taps;
} cimage_filter;

int cimage_has_avx2(void);

// `count` rows of 4-byte pixels, `stride` bytes apart -> `count` rows of filter->outputs 4-byte pixels without gaps;
// `mirror` writes each row last pixel first. Up to 3 pixels behind a row are read and have no effect.
void cimage_filter_rows(
    const uint8_t *base, size_t stride, int count, const cimage_filter *filter, int mirror, uint8_t *out, int avx2);

// Rows of `width` 4-byte pixels, `stride` bytes apart -> one row, by output o of the filter.
// Taps with weight 0 may lie beyond `rows`; the last row is read instead.
void cimage_filter_column(
    const uint8_t *rows_base, size_t stride, int rows, const cimage_filter *filter, int o, int width, uint8_t *out,
    int avx2);

// 4-byte pixels -> three planes of (value / 255 - mean) / deviation.
void cimage_normalise(
    const uint8_t *pixels, int count, const float *mean, const float *deviation, float *red, float *green,
    float *blue, int avx2);

// Colour operations on `count` 4-byte pixels in place, with Pillow's 8-bit arithmetic. The fourth byte has no effect
// on the others and no meaning afterwards.

// The sum of the pixels' luma: 0.299 R + 0.587 G + 0.114 B, each rounded to a whole number.
uint64_t cimage_luma_sum(const uint8_t *pixels, int count, int avx2);

// Every channel becomes from + share * (channel - from), cut to 0 ... 255 and then to a whole number; `from` is one
// grey for all pixels, or each pixel's own luma.
void cimage_blend_grey(uint8_t *pixels, int count, uint8_t grey, float share, int avx2);
void cimage_blend_luma(uint8_t *pixels, int count, float share, int avx2);

// Channels from `threshold` upwards become 255 - channel.
void cimage_solarise(uint8_t *pixels, int count, int threshold, int avx2);

// Turns the hue by `turn` / 256 of a circle, through hue, saturation and value of 8 bits.
void cimage_turn_hue(uint8_t *pixels, int count, uint8_t turn, int avx2);

// A box that reaches `radius` pixels to both sides, and in part one further: weights of 2^24 in sum.
typedef struct {
  int radius;
  uint32_t whole;  // of each of the 2 radius + 1 pixels
  uint32_t part;   // of the two pixels at the ends
} cimage_box;

// Averages columns over the box; pixels beyond an edge are those at the edge. `sums` holds 4 * width numbers, and
// `out` another picture than `pixels`.
void cimage_box_blur(
    const uint8_t *pixels, int width, int height, const cimage_box *box, uint32_t *sums, uint8_t *out, int avx2);

// [height, width] pixels -> [width, height] pixels, into another picture.
void cimage_transpose(const uint8_t *pixels, int width, int height, uint8_t *out);
