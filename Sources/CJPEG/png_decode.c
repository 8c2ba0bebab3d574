#include <stdio.h>
#include <string.h>

#include <png.h>

#include "CJPEG.h"

typedef struct {
  const uint8_t *bytes;
  size_t left;
} png_input;

static void take(png_structp png, png_bytep out, size_t count) {
  png_input *input = png_get_io_ptr(png);
  if (count > input->left) png_error(png, "truncated");
  memcpy(out, input->bytes, count);
  input->bytes += count;
  input->left -= count;
}

static void fail(png_structp png, png_const_charp words) {
  char *message = png_get_error_ptr(png);
  snprintf(message, CJPEG_MESSAGE_BYTES, "%s", words);
  png_longjmp(png, 1);
}

static void silent(png_structp png, png_const_charp words) {
  (void)png;
  (void)words;
}

static int begin(png_structp *png, png_infop *info, png_input *input, char *message) {
  message[0] = 0;
  *info = NULL;
  *png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, fail, silent);
  if (*png) *info = png_create_info_struct(*png);
  if (*info) {
    png_set_read_fn(*png, input, take);
    return CJPEG_OK;
  }
  png_destroy_read_struct(png, NULL, NULL);
  if (!message[0]) snprintf(message, CJPEG_MESSAGE_BYTES, "no memory for the decoder");
  return CJPEG_CORRUPT;
}

int cpng_read_header(const uint8_t *bytes, size_t count, cpng_header *header, char *message) {
  png_input input = {bytes, count};
  png_structp png;
  png_infop info;
  if (begin(&png, &info, &input, message)) return CJPEG_CORRUPT;
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    return CJPEG_CORRUPT;
  }
  png_read_info(png, info);
  header->width = (int)png_get_image_width(png, info);
  header->height = (int)png_get_image_height(png, info);
  header->channels = png_get_channels(png, info);
  header->bits = png_get_bit_depth(png, info);
  png_destroy_read_struct(&png, &info, NULL);
  if ((uint64_t)header->width * (uint64_t)header->height <= CJPEG_MAXIMUM_PIXELS) return CJPEG_OK;
  snprintf(message, CJPEG_MESSAGE_BYTES, "more pixels than this program decodes");
  return CJPEG_TOO_LARGE;
}

int cpng_decode(const uint8_t *bytes, size_t count, uint8_t *out, size_t capacity, char *message) {
  png_input input = {bytes, count};
  png_structp png;
  png_infop info;
  if (begin(&png, &info, &input, message)) return CJPEG_CORRUPT;
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    return CJPEG_CORRUPT;
  }
  png_read_info(png, info);
  png_set_packing(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t stride = png_get_rowbytes(png, info), rows = png_get_image_height(png, info);
  if (stride * rows > capacity) png_error(png, "rows are wider than the header says");
  for (int pass = 0; pass < passes; pass++)
    for (size_t row = 0; row < rows; row++) png_read_row(png, out + row * stride, NULL);
  // What follows the pixels is read too: a missing tail is damage.
  png_read_end(png, NULL);
  png_destroy_read_struct(&png, &info, NULL);
  return CJPEG_OK;
}
