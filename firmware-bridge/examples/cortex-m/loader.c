/* The boot loader: an image on trial is started once, and if nobody confirms it, the one before comes back. */
#include "mps2.h"
#include "notes.h"

static void copy(uint32_t from, uint32_t to) {
  uint32_t i;
  for (i = 0; i < IMAGE_BYTES_MAX; i += 4) REGISTER(to + i) = REGISTER(from + i);
}

int main(void) {
  if (notes->magic != NOTES_MAGIC) {
    notes->magic = NOTES_MAGIC;
    notes->boot_count = notes->trial = notes->size = 0;
    notes->reset_reason = 1;
    copy(IMAGE_FACTORY, IMAGE_RUNS);
  } else if (notes->trial == TRIAL_ASKED) {
    copy(IMAGE_RUNS, IMAGE_BEFORE);
    copy(IMAGE_NEW, IMAGE_RUNS);
    notes->trial = TRIAL_RUNS;
  } else if (notes->trial == TRIAL_RUNS) {
    copy(IMAGE_BEFORE, IMAGE_RUNS);
    notes->trial = TRIAL_NONE;
  }
  notes->boot_count++;
  SCB_VECTORS = IMAGE_RUNS;
  __asm volatile("msr msp, %0\n bx %1" : : "r"(REGISTER(IMAGE_RUNS)), "r"(REGISTER(IMAGE_RUNS + 4)));
  return 0;
}
