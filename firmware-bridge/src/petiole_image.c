/* Firmware images: PROTOCOL.md section 8. The two callbacks do what differs from board to board. */
#include "petiole_internal.h"

#if PETIOLE_WITH_FIRMWARE

enum { BEGIN = 1, CHUNK = 2, VERIFY = 3, BOOT = 4, CONFIRM = 5, CANCEL = 6 };

#define BEGIN_HEAD_BYTES 37
#define CHUNK_HEAD_BYTES 5
#define HASH_BYTES 32

void petiole_image_start(petiole *board) {
  const petiole_config *config = board->config;
  board->image_state = (config->features & PETIOLE_ON_TRIAL) != 0 ? PETIOLE_TRIAL : PETIOLE_IDLE;
  if (config->hash != NULL) petiole_copy(board->image_hash, config->hash, sizeof board->image_hash);
}

void petiole_image_state(petiole *board) {
  petiole_sender *sender = &board->sender;
  petiole_frame_begin(sender, FIRMWARE);
  petiole_frame_u8(sender, 0x80);
  petiole_frame_u8(sender, board->image_state);
  petiole_frame_u8(sender, board->image_code);
  petiole_frame_u32(sender, board->image.offset);
  petiole_frame_bytes(sender, board->image_hash, sizeof board->image_hash);
}

/* Where it is done the state is `done`, and otherwise `not_done`. */
static uint8_t step(petiole *board, uint8_t number, uint8_t done, uint8_t not_done) {
  uint8_t code = board->config->firmware_step(board->config->user, number, &board->image);
  board->image_state = code == PETIOLE_OK ? done : not_done;
  return code;
}

static uint8_t take_begin(petiole *board, const uint8_t *payload, const uint8_t *end) {
  petiole_image *image = &board->image;
  uint8_t code;
  const uint8_t *at = petiole_slice_at(payload + BEGIN_HEAD_BYTES, end, &image->target);
  at = petiole_slice_at(at, end, &image->version);
  at = petiole_slice_at(at, end, &image->signature);
  if (at == NULL) return PETIOLE_MALFORMED;
  if (board->image_state >= PETIOLE_BOOTING) return PETIOLE_WRONG_STATE;
  image->hash = payload + 5;
  /* A BEGIN that comes late. */
  if (board->image_state == PETIOLE_READY && petiole_is_same(board->image_hash, image->hash, sizeof board->image_hash)) {
    return PETIOLE_OK;
  }
  petiole_copy(board->image_hash, image->hash, sizeof board->image_hash);
  image->size = petiole_u32_at(payload + 1);
  image->offset = 0;
  code = step(board, BEGIN, PETIOLE_RECEIVING, PETIOLE_IDLE);
  if (image->offset > image->size) image->offset = 0;
  return code;
}

static uint8_t take_chunk(petiole *board, const uint8_t *payload, const uint8_t *end) {
  petiole_image *image = &board->image;
  uint16_t length;
  uint8_t code;
  payload += CHUNK_HEAD_BYTES;
  if (payload >= end) return PETIOLE_MALFORMED;
  if (board->image_state != PETIOLE_RECEIVING) return PETIOLE_WRONG_STATE;
  /* What comes again or too early: the answer says where we are. */
  if (petiole_u32_at(payload - 4) != image->offset) return PETIOLE_OK;
  length = (uint16_t)(end - payload);
  if (length > image->size - image->offset) return PETIOLE_MALFORMED;
  code = board->config->firmware_write(board->config->user, image->offset, payload, length);
  if (code == PETIOLE_OK) image->offset += length;
  else board->image_state = PETIOLE_IDLE;
  return code;
}

static uint8_t take(petiole *board, const uint8_t *payload, petiole_size length) {
  const petiole_config *config = board->config;
  petiole_image *image = &board->image;
  uint8_t state = board->image_state;
  if (config->firmware_write == NULL) return PETIOLE_UNSUPPORTED;
  switch (payload[0]) {
    case BEGIN:
      return take_begin(board, payload, payload + length);
    case CHUNK:
      return take_chunk(board, payload, payload + length);
    case VERIFY:
      if (state == PETIOLE_READY) return PETIOLE_OK;
      if (state != PETIOLE_RECEIVING || image->offset != image->size) return PETIOLE_WRONG_STATE;
      return step(board, VERIFY, PETIOLE_READY, PETIOLE_IDLE);
    case BOOT:
      if (length < 5) return PETIOLE_MALFORMED;
      if (state == PETIOLE_BOOTING) return PETIOLE_OK;
      if (state != PETIOLE_READY) return PETIOLE_WRONG_STATE;
      image->trial_ms = petiole_u32_at(payload + 1);
      board->image_state = PETIOLE_BOOTING;
      board->due |= DUE_BOOT;
      return PETIOLE_OK;
    case CONFIRM:
      if (length < 1 + HASH_BYTES) return PETIOLE_MALFORMED;
      if (config->hash == NULL || !petiole_is_same(config->hash, payload + 1, HASH_BYTES)) return PETIOLE_WRONG_STATE;
      if (state != PETIOLE_TRIAL) return PETIOLE_OK;
      return step(board, CONFIRM, PETIOLE_IDLE, PETIOLE_TRIAL);
    case CANCEL:
      if (state == PETIOLE_BOOTING) return PETIOLE_WRONG_STATE;
      image->offset = 0;
      if (state != PETIOLE_TRIAL) return step(board, CANCEL, PETIOLE_IDLE, PETIOLE_IDLE);
      /* Not idle, which is what a confirmed one is. */
      step(board, CANCEL, PETIOLE_BOOTING, PETIOLE_BOOTING);
      return PETIOLE_CANCELLED;
  }
  /* Others are answered as ASK. */
  return PETIOLE_OK;
}

void petiole_image_take(petiole *board, const uint8_t *payload, petiole_size length) {
  board->image_code = take(board, payload, length);
  board->due |= DUE_STATE;
}

void petiole_image_boot(petiole *board) {
  /* Does not come back where all is well. */
  board->image_code = step(board, BOOT, PETIOLE_BOOTING, PETIOLE_IDLE);
  if (board->image_code != PETIOLE_OK) board->due |= DUE_STATE;
}

void petiole_image_poll(petiole *board) {
  static const uint8_t cancel = CANCEL;
  if (board->image_state != PETIOLE_TRIAL || board->config->trial_ms == 0) return;
  if (board->words.uptime < board->config->trial_ms) return;
  petiole_image_take(board, &cancel, 1);
  board->image_code = PETIOLE_DEADLINE;
}

#else
typedef int petiole_no_firmware;
#endif
