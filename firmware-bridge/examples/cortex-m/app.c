/* A board with a count, a lamp that commands switch, a subject that answers, and new firmware. */
#include <string.h>

#include "../../include/petiole.h"
#include "../../include/petiole_sha256.h"
#include "mps2.h"
#include "notes.h"

#ifndef VERSION
#define VERSION "1.0.0"
#endif

enum { COUNT, LAMP };

static const petiole_entity entities[] = {
    {"count", NULL, 0, 0, 0, 250, PETIOLE_INTEGER, 0},
    {"lamp", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
};
static const char *const subscriptions[] = {".say", ".ask"};

/* Not cleared by a reset: frames without receipt are sent again after it. */
static petiole board __attribute__((section(".kept")));

static volatile uint32_t milliseconds;
static uint8_t image_hash[32];
extern uint32_t image_end;

void systick(void);
void systick(void) { milliseconds++; }

static uint32_t now(void *user) {
  (void)user;
  return milliseconds;
}

static uint16_t write_line(void *user, const uint8_t *bytes, uint16_t length) {
  uint16_t i;
  (void)user;
  for (i = 0; i < length && (UART_STATE & UART_TX_FULL) == 0; i++) UART_DATA = bytes[i];
  return i;
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  (void)user;
  (void)subscription;
  (void)subject;
  /* What is said is said back, so that one sees it. */
  return petiole_publish(&board, ".said", payload.bytes, payload.length);
}

static uint8_t on_request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms) {
  (void)user;
  (void)subject;
  (void)time_ms;
  if (payload.length == 5 && memcmp(payload.bytes, "reset", 5) == 0) {
    notes->reset_reason = PETIOLE_RESET_SOFTWARE;
    board_reset();
  }
  return petiole_reply(&board, id, PETIOLE_OK, payload.bytes, payload.length);
}

static uint8_t on_command(void *user, uint8_t entity, petiole_value *value) {
  (void)user;
  petiole_put_boolean(&board, entity, (uint8_t)value->as.integer);
  return PETIOLE_OK;
}

static uint8_t image_write(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length) {
  uint16_t i;
  (void)user;
  for (i = 0; i < length; i++) *(volatile uint8_t *)(IMAGE_NEW + offset + i) = bytes[i];
  notes->stored = offset + length;
  return PETIOLE_OK;
}

static void hash_of(uint32_t at, uint32_t size, uint8_t hash[32]) {
  petiole_sha256 sha;
  petiole_sha256_start(&sha);
  petiole_sha256_add(&sha, (const uint8_t *)at, size);
  petiole_sha256_end(&sha, hash);
}

static uint8_t image_begin(petiole_image *image) {
  uint8_t i;
  uint8_t is_known = notes->size == image->size;
  if (image->target.length != 9 || memcmp(image->target.bytes, "mps2-demo", 9) != 0) return PETIOLE_WRONG_TARGET;
  if (image->size > IMAGE_BYTES_MAX) return PETIOLE_IMAGE_TOO_LARGE;
  for (i = 0; i < 32; i++) is_known = (uint8_t)(is_known && notes->hash[i] == image->hash[i]);
  if (!is_known) {
    for (i = 0; i < 32; i++) notes->hash[i] = image->hash[i];
    notes->size = image->size;
    notes->stored = 0;
  }
  image->offset = notes->stored;
  return PETIOLE_OK;
}

static uint8_t image_step(void *user, uint8_t step, petiole_image *image) {
  uint8_t hash[32];
  uint8_t i;
  (void)user;
  switch (step) {
    case PETIOLE_IMAGE_BEGIN:
      return image_begin(image);
    case PETIOLE_IMAGE_VERIFY:
      hash_of(IMAGE_NEW, notes->size, hash);
      for (i = 0; i < 32; i++) {
        if (hash[i] != notes->hash[i]) return PETIOLE_BAD_HASH;
      }
      return PETIOLE_OK;
    case PETIOLE_IMAGE_BOOT:
      notes->trial = TRIAL_ASKED;
      notes->trial_ms = image->trial_ms;
      notes->reset_reason = PETIOLE_RESET_FIRMWARE;
      board_reset();
      return PETIOLE_OK;
    case PETIOLE_IMAGE_CONFIRM:
      notes->trial = TRIAL_NONE;
      notes->size = 0;
      return PETIOLE_OK;
    default:
      notes->size = 0;
      if (notes->trial != TRIAL_NONE) board_reset();
      return PETIOLE_OK;
  }
}

int main(void) {
  static petiole_config config;
  uint32_t counted = 0;
  int32_t count = 0;
  SYSTICK_RELOAD = CLOCK_HZ / 1000 - 1;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 7;
#ifdef HANGS
  /* An image that is no good: only its watchdog still works. */
  while (milliseconds < 1500) continue;
  notes->reset_reason = PETIOLE_RESET_WATCHDOG;
  board_reset();
#endif
  uart_start(115200);
  hash_of(IMAGE_RUNS, (uint32_t)&image_end - IMAGE_RUNS, image_hash);
  config.identity = "mps2-1";
  config.hardware = "mps2-demo";
  config.firmware = "bare-cortex-m";
  config.version = VERSION;
  config.hash = image_hash;
  config.boot_count = notes->boot_count;
  config.entropy = notes->boot_count * 7919;
  config.reset_reason = (uint8_t)notes->reset_reason;
  config.features = PETIOLE_KEEPS;
  if (notes->trial == TRIAL_RUNS) {
    config.features |= PETIOLE_ON_TRIAL;
    config.trial_ms = notes->trial_ms;
  }
  notes->reset_reason = PETIOLE_RESET_UNKNOWN;
  config.entities = entities;
  config.entity_count = 2;
  config.write = write_line;
  config.now = now;
  config.subscriptions = subscriptions;
  config.subscription_count = 2;
  config.message = on_message;
  config.request = on_request;
  config.command = on_command;
  config.firmware_write = image_write;
  config.firmware_step = image_step;
  petiole_resume(&board, &config);
  for (;;) {
    while ((UART_STATE & UART_RX_FULL) != 0) {
      uint8_t byte = (uint8_t)UART_DATA;
      petiole_receive(&board, &byte, 1);
    }
    petiole_poll(&board);
    if (milliseconds - counted >= 250) {
      counted = milliseconds;
      if (petiole_put_integer(&board, COUNT, count + 1) == PETIOLE_OK) count++;
    }
  }
}
