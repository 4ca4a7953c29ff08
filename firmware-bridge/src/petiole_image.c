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

/* `image` is empty but for what the step gives. */
static uint8_t step(petiole *board, uint8_t number, petiole_image *image) {
  return board->config->firmware_step(board->config->user, number, image);
}

static const uint8_t *slice(const uint8_t *at, const uint8_t *end, petiole_slice *text) {
  if (at >= end || *at > end - at - 1) return end + 1;
  text->length = *at++;
  text->bytes = at;
  return at + text->length;
}

static uint8_t take_begin(petiole *board, const uint8_t *payload, const uint8_t *end, petiole_image *image) {
  uint8_t state = board->image_state;
  uint8_t code;
  const uint8_t *at = slice(payload + BEGIN_HEAD_BYTES, end, &image->target);
  at = slice(at, end, &image->version);
  if (slice(at, end, &image->signature) > end) return PETIOLE_MALFORMED;
  if (state >= PETIOLE_BOOTING) return PETIOLE_WRONG_STATE;
  image->size = petiole_u32_at(payload + 1);
  image->hash = payload + 5;
  if (state == PETIOLE_READY && memcmp(board->image_hash, image->hash, sizeof board->image_hash) == 0) return PETIOLE_OK;
  memcpy(board->image_hash, image->hash, sizeof board->image_hash);
  code = step(board, BEGIN, image);
  board->image_state = code == PETIOLE_OK ? PETIOLE_RECEIVING : PETIOLE_IDLE;
  board->image_size = image->size;
  board->image_offset = image->offset <= image->size ? image->offset : 0;
  return code;
}

static uint8_t take_chunk(petiole *board, const uint8_t *payload, uint16_t length) {
  uint32_t offset = petiole_u32_at(payload + 1);
  uint8_t code;
  if (board->image_state != PETIOLE_RECEIVING) return PETIOLE_WRONG_STATE;
  /* What comes again or too early: the answer says where we are. */
  if (offset != board->image_offset) return PETIOLE_OK;
  length = (uint16_t)(length - CHUNK_HEAD_BYTES);
  if (length > board->image_size - offset) return PETIOLE_MALFORMED;
  code = board->config->firmware_write(board->config->user, offset, payload + CHUNK_HEAD_BYTES, length);
  if (code == PETIOLE_OK) board->image_offset += length;
  else board->image_state = PETIOLE_IDLE;
  return code;
}

/* The least that each operation takes, in the order of their numbers; others are answered as ASK. */
static const uint8_t least[] = {1, BEGIN_HEAD_BYTES, CHUNK_HEAD_BYTES + 1, 1, 5, 1 + HASH_BYTES, 1};

static uint8_t take(petiole *board, const uint8_t *payload, uint16_t length) {
  const petiole_config *config = board->config;
  petiole_image image;
  uint8_t operation = payload[0];
  uint8_t state = board->image_state;
  uint8_t code;
  if (config->firmware_write == NULL) return PETIOLE_UNSUPPORTED;
  if (operation > CANCEL) return PETIOLE_OK;
  if (length < least[operation]) return PETIOLE_MALFORMED;
  memset(&image, 0, sizeof image);
  switch (operation) {
    case BEGIN:
      return take_begin(board, payload, payload + length, &image);
    case CHUNK:
      return take_chunk(board, payload, length);
    case VERIFY:
      if (state == PETIOLE_READY) return PETIOLE_OK;
      if (state != PETIOLE_RECEIVING || board->image_offset != board->image_size) return PETIOLE_WRONG_STATE;
      code = step(board, VERIFY, &image);
      board->image_state = code == PETIOLE_OK ? PETIOLE_READY : PETIOLE_IDLE;
      return code;
    case BOOT:
      if (state == PETIOLE_BOOTING) return PETIOLE_OK;
      if (state != PETIOLE_READY) return PETIOLE_WRONG_STATE;
      board->image_trial_ms = petiole_u32_at(payload + 1);
      board->image_state = PETIOLE_BOOTING;
      board->due |= DUE_BOOT;
      return PETIOLE_OK;
    case CONFIRM:
      if (config->hash == NULL || memcmp(config->hash, payload + 1, HASH_BYTES) != 0) return PETIOLE_WRONG_STATE;
      if (state != PETIOLE_TRIAL) return PETIOLE_OK;
      code = step(board, CONFIRM, &image);
      if (code == PETIOLE_OK) board->image_state = PETIOLE_IDLE;
      return code;
    default:
      board->image_state = PETIOLE_IDLE;
      board->image_offset = 0;
      return step(board, CANCEL, &image);
  }
}

void petiole_image_take(petiole *board, const uint8_t *payload, uint16_t length) {
  board->image_code = take(board, payload, length);
  board->due |= DUE_STATE;
}

void petiole_image_boot(petiole *board) {
  petiole_image image;
  memset(&image, 0, sizeof image);
  image.trial_ms = board->image_trial_ms;
  /* Does not come back where all is well. */
  board->image_code = step(board, BOOT, &image);
  if (board->image_code == PETIOLE_OK) return;
  board->image_state = PETIOLE_IDLE;
  board->due |= DUE_STATE;
}

void petiole_image_poll(petiole *board) {
  static const uint8_t cancel = CANCEL;
  if (board->image_state != PETIOLE_TRIAL || board->config->trial_ms == 0) return;
  if (petiole_now(board) - board->started_at >= board->config->trial_ms) petiole_image_take(board, &cancel, 1);
}

#else
typedef int petiole_no_firmware;
#endif
