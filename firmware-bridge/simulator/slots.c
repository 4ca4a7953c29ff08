/* Two slots for images and a boot loader, as files. An image is text; its first line says what it would do. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/petiole_sha256.h"
#include "simulator.h"

/* Flash is written in pages: what is behind the last whole one is lost in a reset. */
enum { PAGE_BYTES = 256 };

static int hash_file(const char *path, uint8_t hash[32], char head[128]) {
  uint8_t bytes[4096];
  petiole_sha256 sha;
  ssize_t count;
  int file = open(path, O_RDONLY);
  if (file < 0) return 0;
  memset(head, 0, 128);
  petiole_sha256_start(&sha);
  while ((count = read(file, bytes, sizeof bytes)) > 0) {
    if (head[0] == 0) memcpy(head, bytes, count < 127 ? (size_t)count : 127);
    petiole_sha256_add(&sha, bytes, (size_t)count);
  }
  close(file);
  petiole_sha256_end(&sha, hash);
  return 1;
}

static void create(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || write(file, text, strlen(text)) < 0) perror(path);
  if (file >= 0) close(file);
}

void slots_open(slots *slots, retained *notes, const char *path, const char *hardware, const char *version) {
  char text[80];
  memset(slots, 0, sizeof *slots);
  slots->notes = notes;
  slots->hardware = hardware;
  snprintf(slots->run_path, sizeof slots->run_path, "%s.run", path);
  snprintf(slots->new_path, sizeof slots->new_path, "%s.new", path);
  snprintf(text, sizeof text, "petiole-board %s good\n", version);
  if (access(slots->run_path, R_OK) != 0) create(slots->run_path, text);
}

void slots_boot(slots *slots, const char *version) {
  char head[128];
  char verdict[16] = "";
  slots->power_failed = slots->reset_asked = 0;
  /* An image on trial has one start: whatever ends it leads back. */
  if (slots->notes->trial == 2) slots->notes->trial = 0;
  if (slots->notes->trial == 1) slots->notes->trial = 2;
  snprintf(slots->version, sizeof slots->version, "%s", version);
  if (!hash_file(slots->notes->trial != 0 ? slots->new_path : slots->run_path, slots->hash, head)) return;
  sscanf(head, "petiole-board %32s %15s", slots->version, verdict);
  slots->hangs = strcmp(verdict, "hangs") == 0;
}

static void store(const char *path, uint32_t offset, const uint8_t *bytes, uint16_t length) {
  int file = open(path, O_WRONLY | O_CREAT, 0600);
  if (file < 0 || pwrite(file, bytes, length, offset) != length) perror(path);
  if (file >= 0) close(file);
}

uint8_t slots_write(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length) {
  slots *slots = user;
  retained *notes = slots->notes;
  uint32_t fatal = slots->brown_out == 0 ? 0xffffffffu : (uint32_t)((uint64_t)notes->size * (unsigned)slots->brown_out / 100);
  if (offset + length > fatal) {
    /* Half of it is in the flash, and no note of it. */
    store(slots->new_path, offset, bytes, length / 2);
    slots->brown_out = 0;
    slots->power_failed = 1;
    return PETIOLE_WRITE_FAILED;
  }
  store(slots->new_path, offset, bytes, length);
  notes->stored = offset + length;
  return PETIOLE_OK;
}

static uint8_t begin(slots *slots, petiole_image *image) {
  retained *notes = slots->notes;
  if (image->target.length != strlen(slots->hardware) ||
      memcmp(image->target.bytes, slots->hardware, image->target.length) != 0) {
    return PETIOLE_WRONG_TARGET;
  }
  if (image->size > IMAGE_BYTES_MAX) return PETIOLE_IMAGE_TOO_LARGE;
  if (notes->size != image->size || memcmp(notes->hash, image->hash, 32) != 0) {
    create(slots->new_path, "");
    notes->size = image->size;
    notes->stored = 0;
    memcpy(notes->hash, image->hash, 32);
  }
  image->offset = notes->stored == notes->size ? notes->size : notes->stored / PAGE_BYTES * PAGE_BYTES;
  return PETIOLE_OK;
}

uint8_t slots_step(void *user, uint8_t step, petiole_image *image) {
  slots *slots = user;
  retained *notes = slots->notes;
  uint8_t hash[32];
  char head[128];
  switch (step) {
    case PETIOLE_IMAGE_BEGIN:
      return begin(slots, image);
    case PETIOLE_IMAGE_VERIFY:
      if (hash_file(slots->new_path, hash, head) && memcmp(hash, notes->hash, 32) == 0) return PETIOLE_OK;
      notes->size = 0;
      return PETIOLE_BAD_HASH;
    case PETIOLE_IMAGE_BOOT:
      notes->trial = 1;
      notes->trial_ms = image->trial_ms;
      notes->reset_reason = PETIOLE_RESET_FIRMWARE;
      slots->reset_asked = 1;
      return PETIOLE_OK;
    case PETIOLE_IMAGE_CONFIRM:
      rename(slots->new_path, slots->run_path);
      notes->trial = notes->size = 0;
      return PETIOLE_OK;
    default:
      notes->size = 0;
      if (notes->trial != 0) slots->reset_asked = 1;
      return PETIOLE_OK;
  }
}
