/*
 * The no-ACK profile: a board that only speaks, in 2 KB of flash and a buffer of one frame. There are no receipts, so what
 * the line loses is lost, and the gateway counts it; PROTOCOL.md calls it one-way.
 *
 *   petiole_beacon_start(&beacon, &config, send);        HELLO and DESCRIBE; again at least once a minute
 *   petiole_beacon_integer(&beacon, TEMPERATURE, 344);   a value, and perhaps more of them
 *   petiole_beacon_send(&beacon);                        as one frame
 */
#ifndef PETIOLE_BEACON_H
#define PETIOLE_BEACON_H

#include "petiole.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const petiole_config *config; /* of it: who the board is, entities, now, user */
  void (*send)(void *user, uint8_t byte); /* waits until the line has taken the byte */
  petiole_sender sender;
  uint8_t line[PETIOLE_LINE_BYTES];
  uint8_t is_filling; /* a batch is in the sender */
} petiole_beacon;

/* `config` must stay where it is. */
void petiole_beacon_start(petiole_beacon *beacon, const petiole_config *config, void (*send)(void *user, uint8_t byte));

/* Says again who the board is; what is in the batch goes first. */
void petiole_beacon_hello(petiole_beacon *beacon);

/* PETIOLE_TOO_LARGE: the batch is full; send it and put the value again. */
uint8_t petiole_beacon_put(petiole_beacon *beacon, uint8_t entity, const petiole_value *value);
uint8_t petiole_beacon_integer(petiole_beacon *beacon, uint8_t entity, int32_t value);

/* The values of a batch count as measured now. */
void petiole_beacon_send(petiole_beacon *beacon);

#ifdef __cplusplus
}
#endif

#endif
