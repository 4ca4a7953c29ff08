/*
 * A bare ATmega328P (2 KB of RAM): the same as the Arduino examples, without Arduino. Build:
 *
 *   make -C firmware-bridge avr
 */
#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>
#include <string.h>

#include "../../include/petiole.h"

/* 115,200 baud at 16 MHz: 2.1 % too fast, which lines bear. */
#define BAUD 115200UL
#define BAUD_TOL 3
#include <util/setbaud.h>

enum { COUNT, LAMP };

static const petiole_entity entities[] = {
    {"count", NULL, 0, 0, 0, 250, PETIOLE_INTEGER, 0},
    {"lamp", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
};
static const char *const subscriptions[] = {".say", ".ask"};

static petiole board;
static volatile uint32_t milliseconds;
static volatile uint8_t heard[64];
static volatile uint8_t heard_to;
static uint8_t heard_from;

ISR(TIMER0_COMPA_vect) { milliseconds++; }

ISR(USART_RX_vect) { heard[heard_to++ % sizeof heard] = UDR0; }

static uint32_t now(void *user) {
  uint32_t time;
  (void)user;
  cli();
  time = milliseconds;
  sei();
  return time;
}

static uint16_t write_line(void *user, const uint8_t *bytes, uint16_t length) {
  (void)user;
  (void)length;
  if ((UCSR0A & _BV(UDRE0)) == 0) return 0;
  UDR0 = *bytes;
  return 1;
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  (void)user;
  (void)subscription;
  (void)subject;
  return petiole_publish(&board, ".said", payload.bytes, payload.length);
}

static uint8_t on_request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms) {
  (void)user;
  (void)subject;
  (void)time_ms;
  if (payload.length == 5 && memcmp(payload.bytes, "reset", 5) == 0) {
    wdt_enable(WDTO_15MS);
    for (;;) continue;
  }
  return petiole_reply(&board, id, PETIOLE_OK, payload.bytes, payload.length);
}

static uint8_t on_command(void *user, uint8_t entity, petiole_value *value) {
  (void)user;
  if (value->as.integer) PORTB |= _BV(5);
  else PORTB &= (uint8_t)~_BV(5);
  petiole_put_boolean(&board, entity, (uint8_t)value->as.integer);
  return PETIOLE_OK;
}

int main(void) {
  static petiole_config config;
  static uint32_t boots EEMEM;
  uint32_t counted = 0;
  int32_t count = 0;
  uint8_t reset = MCUSR;
  MCUSR = 0;
  wdt_disable();
  UBRR0 = UBRR_VALUE;
#if USE_2X
  UCSR0A |= _BV(U2X0);
#endif
  UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
  UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
  TCCR0A = _BV(WGM01);
  TCCR0B = _BV(CS01) | _BV(CS00);
  OCR0A = F_CPU / 64 / 1000 - 1;
  TIMSK0 = _BV(OCIE0A);
  DDRB = _BV(5);
  sei();
  config.boot_count = eeprom_read_dword(&boots) + 1;
  eeprom_update_dword(&boots, config.boot_count);
  config.identity = "uno-1";
  config.firmware = "bare-avr";
  config.version = "1.0.0";
  config.entropy = config.boot_count * 7919;
  config.reset_reason = (reset & _BV(WDRF)) != 0 ? PETIOLE_RESET_WATCHDOG : PETIOLE_RESET_POWER;
  config.entities = entities;
  config.entity_count = 2;
  config.write = write_line;
  config.now = now;
  config.subscriptions = subscriptions;
  config.subscription_count = 2;
  config.message = on_message;
  config.request = on_request;
  config.command = on_command;
  petiole_start(&board, &config);
  for (;;) {
    while (heard_from != heard_to) {
      uint8_t byte = heard[heard_from++ % sizeof heard];
      petiole_receive(&board, &byte, 1);
    }
    petiole_poll(&board);
    if (now(NULL) - counted >= 250) {
      counted = now(NULL);
      if (petiole_put_integer(&board, COUNT, count + 1) == PETIOLE_OK) count++;
    }
  }
}
