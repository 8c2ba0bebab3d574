#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "CJPEG.h"

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf escape;
  char *message;
} error_state;

static void fail(j_common_ptr info) {
  error_state *state = (error_state *)info->err;
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  snprintf(state->message, CJPEG_MESSAGE_BYTES, "%s", text);
  longjmp(state->escape, 1);
}

static void silent(j_common_ptr info, int level) {
  (void)info;
  (void)level;
}

int cjpeg_encode(
    const uint8_t *pixels, int width, int height, int channels, int quality, int full_colour, uint8_t **out,
    size_t *count, char *message) {
  struct jpeg_compress_struct info;
  error_state state;
  unsigned char *volatile kept = NULL;
  unsigned char *bytes = NULL;
  unsigned long length = 0;
  message[0] = 0;
  state.message = message;
  info.err = jpeg_std_error(&state.base);
  state.base.error_exit = fail;
  state.base.emit_message = silent;
  if (setjmp(state.escape)) {
    jpeg_destroy_compress(&info);
    free(kept);
    return CJPEG_BAD_REQUEST;
  }
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &bytes, &length);
  kept = bytes;
  info.image_width = (JDIMENSION)width;
  info.image_height = (JDIMENSION)height;
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  if (full_colour && channels == 3) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = (JSAMPROW)(pixels + (size_t)info.next_scanline * (size_t)width * (size_t)channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  *out = bytes;
  *count = length;
  return CJPEG_OK;
}

void cjpeg_free(uint8_t *bytes) { free(bytes); }

static png_image describe(int width, int height, int channels) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = (png_uint_32)width;
  image.height = (png_uint_32)height;
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  return image;
}

size_t cpng_bound(int width, int height, int channels) {
  png_image image = describe(width, height, channels);
  return PNG_IMAGE_PNG_SIZE_MAX(image);
}

int cpng_encode(
    const uint8_t *pixels, int width, int height, int channels, uint8_t *out, size_t *count, char *message) {
  png_image image = describe(width, height, channels);
  png_alloc_size_t bytes = *count;
  message[0] = 0;
  if (!png_image_write_to_memory(&image, out, &bytes, 0, pixels, 0, NULL)) {
    snprintf(message, CJPEG_MESSAGE_BYTES, "%s", image.message);
    return CJPEG_BAD_REQUEST;
  }
  *count = bytes;
  return CJPEG_OK;
}
