#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "CJPEG.h"

#if !defined(LIBJPEG_TURBO_VERSION_NUMBER) || LIBJPEG_TURBO_VERSION_NUMBER < 1005000
#error "libjpeg-turbo 1.5 or newer is needed (partial decoding, 4-byte pixels)"
#endif

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf escape;
  char *message;
  int result;
} error_state;

static void fail(j_common_ptr info) {
  error_state *state = (error_state *)info->err;
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  snprintf(state->message, CJPEG_MESSAGE_BYTES, "%s", text);
  longjmp(state->escape, 1);
}

// Warnings that mean lost pixels are errors; the others are about order and markers, and every pixel is there.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_TOO_MUCH_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_ICC:
      return;
    default:
      fail(info);
  }
}

static void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (((j_decompress_ptr)info)->input_scan_number <= CJPEG_MAXIMUM_SCANS) return;
  error_state *state = (error_state *)info->err;
  snprintf(state->message, CJPEG_MESSAGE_BYTES, "more than %d scans", CJPEG_MAXIMUM_SCANS);
  longjmp(state->escape, 1);
}

static int refuse(j_decompress_ptr info, int result, const char *words) {
  error_state *state = (error_state *)info->err;
  snprintf(state->message, CJPEG_MESSAGE_BYTES, "%s", words);
  state->result = result;
  longjmp(state->escape, 1);
}

static void begin(j_decompress_ptr info, error_state *state, char *message) {
  message[0] = 0;
  state->message = message;
  state->result = CJPEG_CORRUPT;
  info->err = jpeg_std_error(&state->base);
  state->base.error_exit = fail;
  state->base.emit_message = on_message;
}

static void read_header(j_decompress_ptr info, const uint8_t *bytes, size_t count) {
  if (count == 0) refuse(info, CJPEG_CORRUPT, "the file is empty");
  if (count < 4 || bytes[0] != 0xFF || bytes[1] != 0xD8)
    refuse(info, CJPEG_CORRUPT, "no JPEG: no start-of-image marker");
  jpeg_mem_src(info, bytes, (unsigned long)count);
  jpeg_read_header(info, TRUE);
  if ((uint64_t)info->image_width * info->image_height > CJPEG_MAXIMUM_PIXELS)
    refuse(info, CJPEG_TOO_LARGE, "more pixels than this program decodes");
}

// A partial decode stops before the end of the data, so a missing tail is looked for here.
static void require_end(j_decompress_ptr info) {
  const uint8_t *data = info->src->next_input_byte;
  for (size_t i = info->src->bytes_in_buffer; i >= 2; i--)
    if (data[i - 2] == 0xFF && data[i - 1] == 0xD9) return;
  refuse(info, CJPEG_CORRUPT, "truncated: no end-of-image marker");
}

int cjpeg_read_size(const uint8_t *bytes, size_t count, int *width, int *height, char *message) {
  struct jpeg_decompress_struct info;
  error_state state;
  begin(&info, &state, message);
  if (setjmp(state.escape)) {
    jpeg_destroy_decompress(&info);
    return state.result;
  }
  jpeg_create_decompress(&info);
  read_header(&info, bytes, count);
  require_end(&info);
  *width = (int)info.image_width;
  *height = (int)info.image_height;
  jpeg_destroy_decompress(&info);
  return CJPEG_OK;
}

static uint8_t product(int a, int b) {
  int t = a * b + 128;
  return (uint8_t)(((t >> 8) + t) >> 8);
}

// Four inks, stored inverted as Adobe writes them, -> colour without a profile. In place: both have 4 bytes a pixel
// when channels is 4; with 3 the reading runs ahead of the writing.
static void convert_inks(uint8_t *row, int width, int channels) {
  for (int x = 0; x < width; x++) {
    const uint8_t *ink = row + 4 * x;
    int light = ink[3];
    uint8_t red = light - product(255 - ink[0], light);
    uint8_t green = light - product(255 - ink[1], light);
    uint8_t blue = light - product(255 - ink[2], light);
    uint8_t *pixel = row + channels * x;
    pixel[0] = red;
    pixel[1] = green;
    pixel[2] = blue;
    if (channels == 4) pixel[3] = 255;
  }
}

static void choose_output(j_decompress_ptr info, const cjpeg_region *region) {
  int inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = inks ? JCS_CMYK : region->channels == 4 ? JCS_EXT_RGBX : JCS_RGB;
  info->scale_num = (unsigned)region->eighths;
  info->scale_denom = 8;
  info->dct_method = JDCT_ISLOW;
}

static void read_rows(j_decompress_ptr info, const cjpeg_region *region, uint8_t *out, size_t capacity, int columns) {
  int inks = info->out_color_space == JCS_CMYK;
  size_t stride = (size_t)columns * (size_t)region->channels;
  size_t slack = inks && region->channels == 3 ? (size_t)columns : 0;  // the last row is read with 4 bytes a pixel
  if (stride * (size_t)region->height + slack > capacity)
    refuse(info, CJPEG_CORRUPT, "rows are wider than the header says");
  JDIMENSION last = (JDIMENSION)(region->top + region->height);
  while (info->output_scanline < last) {
    uint8_t *row = out + (info->output_scanline - (JDIMENSION)region->top) * stride;
    if (jpeg_read_scanlines(info, &row, 1) != 1) refuse(info, CJPEG_CORRUPT, "rows are missing");
    if (inks) convert_inks(row, columns, region->channels);
  }
}

int cjpeg_decode(
    const uint8_t *bytes, size_t count, const cjpeg_region *region, uint8_t *out, size_t capacity, int *first,
    int *columns, char *message) {
  struct jpeg_decompress_struct info;
  struct jpeg_progress_mgr progress;
  error_state state;
  begin(&info, &state, message);
  if (setjmp(state.escape)) {
    jpeg_destroy_decompress(&info);
    return state.result;
  }
  jpeg_create_decompress(&info);
  progress.progress_monitor = on_progress;
  info.progress = &progress;
  read_header(&info, bytes, count);
  require_end(&info);
  choose_output(&info, region);
  jpeg_start_decompress(&info);
  if (region->left < 0 || region->top < 0 || region->width < 1 || region->height < 1 ||
      region->left + region->width > (int)info.output_width || region->top + region->height > (int)info.output_height)
    refuse(&info, CJPEG_BAD_REQUEST, "box outside of the image");
  // Two more columns on each side: smooth chroma upsampling looks one chroma sample further.
  int left = region->left > 2 ? region->left - 2 : 0;
  int right = region->left + region->width + 2;
  if (right > (int)info.output_width) right = (int)info.output_width;
  JDIMENSION start = (JDIMENSION)left, width = (JDIMENSION)(right - left);
  if ((int)width < (int)info.output_width) jpeg_crop_scanline(&info, &start, &width);
  if (region->top > 0) jpeg_skip_scanlines(&info, (JDIMENSION)region->top);
  *first = (int)start;
  *columns = (int)width;
  read_rows(&info, region, out, capacity, (int)width);
  if (info.output_scanline == info.output_height) jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return CJPEG_OK;
}
