/* The parts of the simulated board: what a real one has as hardware. */
#ifndef SIMULATOR_H
#define SIMULATOR_H

#include <stdint.h>
#include <stdio.h>

#include "../include/petiole.h"

/* A line that is slow and wrong as asked, one direction of it. */
typedef struct {
  double flip;      /* probability for each bit */
  double drop;      /* for each byte */
  double duplicate; /* for each byte */
  double rate;      /* bytes a second; 0: as they come */
  uint64_t random;
  double credit; /* bytes that may pass */
  double at;     /* seconds: when the credit was counted */
} bad_line;

/* How many bytes may pass now, at most `length`. */
size_t bad_line_room(bad_line *line, size_t length, double now);
/* What becomes of a byte: writes 0 to 2 bytes; returns how many. */
size_t bad_line_pass(bad_line *line, uint8_t byte, uint8_t to[2]);

enum { IMAGE_BYTES_MAX = 8 * 1024 * 1024 };

/* What survives a reset: the memory of a board that has KEEPS, and the notes of its boot loader. */
typedef struct {
  uint32_t boot_count;
  uint32_t reset_reason;
  uint32_t trial; /* 1: the new image is to be started, 2: it runs */
  uint32_t trial_ms;
  uint32_t size;   /* of the image on its way; 0: none */
  uint32_t stored;
  uint8_t hash[32];
  petiole board;
} retained;

/* The slots of an image, as files beside `path`. */
typedef struct {
  retained *notes;
  char run_path[512];
  char new_path[512];
  const char *hardware;
  int brown_out; /* percent of an image; 0: never */
  int power_failed;
  int reset_asked;
  /* Of the running image. */
  char version[33];
  uint8_t hash[32];
  int hangs;
} slots;

void slots_open(slots *slots, retained *notes, const char *path, const char *hardware, const char *version);
/* What the boot loader does: chooses the image and reads what it is. */
void slots_boot(slots *slots, const char *version);
uint8_t slots_write(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length);
uint8_t slots_step(void *user, uint8_t step, petiole_image *image);

#endif
