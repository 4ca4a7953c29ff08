/* UART 0 and SysTick of the MPS2 with AN385: a Cortex-M3 at 25 MHz. */
#ifndef MPS2_H
#define MPS2_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CONTROL REGISTER(0x40004008u)
#define UART_DIVIDER REGISTER(0x40004010u)
enum { UART_TX_FULL = 1, UART_RX_FULL = 2 };

#define SYSTICK_CONTROL REGISTER(0xe000e010u)
#define SYSTICK_RELOAD REGISTER(0xe000e014u)
#define SYSTICK_VALUE REGISTER(0xe000e018u)
#define SCB_VECTORS REGISTER(0xe000ed08u)
#define SCB_RESET REGISTER(0xe000ed0cu)

#define CLOCK_HZ 25000000u

static inline void uart_start(uint32_t baud) {
  UART_DIVIDER = CLOCK_HZ / baud;
  UART_CONTROL = 3;
}

static inline void board_reset(void) {
  SCB_RESET = 0x05fa0004u;
  for (;;) continue;
}

#endif
