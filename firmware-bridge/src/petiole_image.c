/* Firmware images: PROTOCOL.md section 8. The two callbacks do what differs from board to board. */
#include "petiole_internal.h"

#if PETIOLE_WITH_FIRMWARE

enum { BEGIN = 1, CHUNK = 2, VERIFY = 3, BOOT = 4, CONFIRM = 5, CANCEL = 6 };

#define BEGIN_HEAD_BYTES 37
#define HASH_BYTES 32

void petiole_image_start(petiole *board) {
  const petiole_config *config = board->config;
  board->image_state = (config->features & PETIOLE_ON_TRIAL) != 0 ? PETIOLE_TRIAL : PETIOLE_IDLE;
  board->image_code = PETIOLE_OK;
  board->image_size = board->image_offset = 0;
  board->image_trial_ms = config->trial_ms;
  memset(board->image_hash, 0, sizeof board->image_hash);
  if (config->hash != NULL) memcpy(board->image_hash, config->hash, sizeof board->image_hash);
}

void petiole_image_state(petiole *board) {
  petiole_sender *sender = &board->sender;
  petiole_frame_u8(sender, 0x80);
  petiole_frame_u8(sender, board->image_state);
  petiole_frame_u8(sender, board->image_code);
  petiole_frame_u32(sender, board->image_offset);
  petiole_frame_bytes(sender, board->image_hash, sizeof board->image_hash);
}

static uint8_t step(petiole *board, uint8_t number, petiole_image *image) {
  return board->config->firmware_step(board->config->user, number, image);
}

static uint8_t slice(const uint8_t **at, const uint8_t *end, petiole_slice *text) {
  const uint8_t *from = *at;
  if (from >= end || *from > end - from - 1) return 0;
  text->length = *from++;
  text->bytes = from;
  *at = from + text->length;
  return 1;
}

static uint8_t take_begin(petiole *board, const uint8_t *payload, uint16_t length) {
  const uint8_t *at = payload + BEGIN_HEAD_BYTES;
  const uint8_t *end = payload + length;
  petiole_image image;
  uint8_t code;
  memset(&image, 0, sizeof image);
  if (length < BEGIN_HEAD_BYTES || !slice(&at, end, &image.target) || !slice(&at, end, &image.version) ||
      !slice(&at, end, &image.signature)) {
    return PETIOLE_MALFORMED;
  }
  image.size = petiole_u32_at(payload + 1);
  image.hash = payload + 5;
  if (board->image_state == PETIOLE_TRIAL || board->image_state == PETIOLE_BOOTING) return PETIOLE_WRONG_STATE;
  if (board->image_state == PETIOLE_READY && memcmp(board->image_hash, image.hash, sizeof board->image_hash) == 0) {
    return PETIOLE_OK;
  }
  memcpy(board->image_hash, image.hash, sizeof board->image_hash);
  board->image_offset = 0;
  code = step(board, PETIOLE_IMAGE_BEGIN, &image);
  board->image_state = code == PETIOLE_OK ? PETIOLE_RECEIVING : PETIOLE_IDLE;
  board->image_size = image.size;
  if (code == PETIOLE_OK && image.offset <= image.size) board->image_offset = image.offset;
  return code;
}

static uint8_t take_chunk(petiole *board, const uint8_t *bytes, uint16_t length, uint32_t offset) {
  uint8_t code;
  if (board->image_state != PETIOLE_RECEIVING) return PETIOLE_WRONG_STATE;
  /* What comes again or too early: the answer says where we are. */
  if (offset != board->image_offset) return PETIOLE_OK;
  if (length > board->image_size - offset) return PETIOLE_MALFORMED;
  code = board->config->firmware_write(board->config->user, offset, bytes, length);
  if (code == PETIOLE_OK) board->image_offset += length;
  else board->image_state = PETIOLE_IDLE;
  return code;
}

static uint8_t take_verify(petiole *board) {
  petiole_image image;
  uint8_t code;
  if (board->image_state == PETIOLE_READY) return PETIOLE_OK;
  if (board->image_state != PETIOLE_RECEIVING || board->image_offset != board->image_size) return PETIOLE_WRONG_STATE;
  memset(&image, 0, sizeof image);
  code = step(board, PETIOLE_IMAGE_VERIFY, &image);
  board->image_state = code == PETIOLE_OK ? PETIOLE_READY : PETIOLE_IDLE;
  return code;
}

static uint8_t take_confirm(petiole *board, const uint8_t *hash) {
  petiole_image image;
  const uint8_t *own = board->config->hash;
  uint8_t code;
  if (own == NULL || memcmp(own, hash, HASH_BYTES) != 0) return PETIOLE_WRONG_STATE;
  if (board->image_state != PETIOLE_TRIAL) return PETIOLE_OK;
  memset(&image, 0, sizeof image);
  code = step(board, PETIOLE_IMAGE_CONFIRM, &image);
  if (code == PETIOLE_OK) board->image_state = PETIOLE_IDLE;
  return code;
}

static uint8_t cancel(petiole *board) {
  petiole_image image;
  memset(&image, 0, sizeof image);
  board->image_state = PETIOLE_IDLE;
  board->image_offset = 0;
  return step(board, PETIOLE_IMAGE_CANCEL, &image);
}

void petiole_image_take(petiole *board, const uint8_t *payload, uint16_t length) {
  uint8_t code = PETIOLE_OK;
  if (board->config->firmware_write == NULL) {
    code = PETIOLE_UNSUPPORTED;
  } else if (payload[0] == BEGIN) {
    code = take_begin(board, payload, length);
  } else if (payload[0] == CHUNK && length > 5) {
    code = take_chunk(board, payload + 5, (uint16_t)(length - 5), petiole_u32_at(payload + 1));
  } else if (payload[0] == VERIFY) {
    code = take_verify(board);
  } else if (payload[0] == BOOT && length >= 5) {
    if (board->image_state == PETIOLE_READY) {
      board->image_trial_ms = petiole_u32_at(payload + 1);
      board->image_state = PETIOLE_BOOTING;
      board->due |= DUE_BOOT;
    } else if (board->image_state != PETIOLE_BOOTING) {
      code = PETIOLE_WRONG_STATE;
    }
  } else if (payload[0] == CONFIRM && length >= 1 + HASH_BYTES) {
    code = take_confirm(board, payload + 1);
  } else if (payload[0] == CANCEL) {
    code = cancel(board);
  }
  board->image_code = code;
  board->due |= DUE_STATE;
}

void petiole_image_boot(petiole *board) {
  petiole_image image;
  memset(&image, 0, sizeof image);
  image.trial_ms = board->image_trial_ms;
  /* Does not come back where all is well. */
  board->image_code = step(board, PETIOLE_IMAGE_BOOT, &image);
  if (board->image_code == PETIOLE_OK) return;
  board->image_state = PETIOLE_IDLE;
  board->due |= DUE_STATE;
}

void petiole_image_poll(petiole *board) {
  if (board->image_state != PETIOLE_TRIAL || board->config->trial_ms == 0) return;
  if (petiole_now(board) - board->started_at >= board->config->trial_ms) cancel(board);
}

#else
typedef int petiole_no_firmware;
#endif
