/* From reset to main: vectors, initial values, cleared memory. */
#include <stdint.h>

extern uint32_t stack_top, data_from, data_start, data_end, bss_start, bss_end;
int main(void);
void systick(void);

__attribute__((weak)) void systick(void) {}

static void hang(void) {
  for (;;) continue;
}

static void reset(void) {
  const uint32_t *from = &data_from;
  uint32_t *to;
  for (to = &data_start; to < &data_end;) *to++ = *from++;
  for (to = &bss_start; to < &bss_end;) *to++ = 0;
  main();
  hang();
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) const vector vectors[16] = {
    (vector)&stack_top, reset, hang, hang, hang, hang, hang, 0, 0, 0, 0, hang, hang, 0, hang, systick};
