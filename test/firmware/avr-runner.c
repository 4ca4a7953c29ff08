/* An ATmega328P whose UART is a pty, in real time: `avr-runner FIRMWARE.elf` writes `pty PATH`. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_uart.h>
#include <simavr/parts/uart_pty.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

#define HZ 16000000.0

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char **words) {
  static uart_pty_t uart;
  elf_firmware_t firmware;
  avr_t *avr = avr_make_mcu_by_name("atmega328p");
  double from;
  memset(&firmware, 0, sizeof firmware);
  if (count != 2 || avr == NULL || elf_read_firmware(words[1], &firmware) != 0) return 2;
  avr_init(avr);
  avr->log = LOG_NONE;
  avr->frequency = firmware.frequency = (uint32_t)HZ;
  avr_load_firmware(avr, &firmware);
  uart_pty_init(avr, &uart);
  uart_pty_connect(&uart, '0');
  printf("pty %s\n", uart.pty.slavename);
  fflush(stdout);
  from = seconds();
  for (;;) {
    int i;
    for (i = 0; i < 4000; i++) {
      int state = avr_run(avr);
      if (state == cpu_Done || state == cpu_Crashed) return 1;
    }
    {
      double ahead = (double)avr->cycle / HZ - (seconds() - from);
      if (ahead > 0.002) usleep((useconds_t)(ahead * 1e6));
      /* A busy machine makes the board slow: time that is lost is not made up for. */
      else if (ahead < -0.5) from -= ahead;
    }
  }
}
