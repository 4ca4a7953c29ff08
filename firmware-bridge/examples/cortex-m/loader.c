/* The boot loader: an image on trial is started once, and if nobody confirms it, the one before comes back. */
#include "mps2.h"
#include "notes.h"

/* RAM stands in for flash here, and flash takes its time: erasing and writing 128 KB, two seconds. */
static void wait_for_flash(void) {
  uint32_t left;
  SYSTICK_RELOAD = CLOCK_HZ / 1000 - 1;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 5;
  for (left = 2000; left > 0;) {
    if ((SYSTICK_CONTROL & 0x10000u) != 0) left--;
  }
  SYSTICK_CONTROL = 0;
}

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
    wait_for_flash();
    notes->trial = TRIAL_RUNS;
  } else if (notes->trial == TRIAL_RUNS) {
    copy(IMAGE_BEFORE, IMAGE_RUNS);
    wait_for_flash();
    notes->trial = TRIAL_NONE;
  }
  notes->boot_count++;
  SCB_VECTORS = IMAGE_RUNS;
  __asm volatile("msr msp, %0\n bx %1" : : "r"(REGISTER(IMAGE_RUNS)), "r"(REGISTER(IMAGE_RUNS + 4)));
  return 0;
}
