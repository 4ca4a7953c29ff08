/* What boot loader and program keep over a reset, at a place that neither clears; on a real board a page of flash. */
#ifndef NOTES_H
#define NOTES_H

#include <stdint.h>

#define IMAGE_RUNS 0x21000000u
#define IMAGE_NEW 0x21400000u
#define IMAGE_BEFORE 0x21800000u
#define IMAGE_FACTORY 0x21c00000u
#define IMAGE_BYTES_MAX 0x20000u

#define NOTES_MAGIC 0x6e6f7465u
#define notes ((volatile struct boot_notes *)0x20080000u)

enum { TRIAL_NONE = 0, TRIAL_ASKED = 1, TRIAL_RUNS = 2 };

struct boot_notes {
  uint32_t magic;
  uint32_t boot_count;
  uint32_t reset_reason;
  uint32_t trial;
  uint32_t trial_ms;
  uint32_t size;   /* of the image on its way; 0: none */
  uint32_t stored; /* of it */
  uint8_t hash[32];
};

#endif
