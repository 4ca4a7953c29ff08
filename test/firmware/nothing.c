/* In place of the library: the same functions, which do nothing. See whole.c. */
#include "../../firmware-bridge/include/petiole.h"

#define NOTHING __attribute__((noinline, noclone))

/* So that what the program gives stays in it. */
static const petiole_config *volatile given;

NOTHING void petiole_start(petiole *board, const petiole_config *config) {
  (void)board;
  given = config;
}
NOTHING uint8_t petiole_resume(petiole *board, const petiole_config *config) {
  (void)board;
  given = config;
  return 0;
}
NOTHING void petiole_receive(petiole *board, const uint8_t *bytes, size_t length) { (void)board, (void)bytes, (void)length; }
NOTHING uint32_t petiole_poll(petiole *board) {
  (void)board;
  return 0;
}
NOTHING uint8_t petiole_is_open(const petiole *board) { return board->state; }
NOTHING uint8_t petiole_waiting(const petiole *board) { return board->state; }
NOTHING uint32_t petiole_number(const petiole *board) { return board->state; }
NOTHING uint8_t petiole_put_boolean(petiole *board, uint8_t entity, uint8_t value) {
  (void)entity, (void)value;
  return board->state;
}
NOTHING uint8_t petiole_put_integer(petiole *board, uint8_t entity, int32_t value) {
  (void)entity, (void)value;
  return board->state;
}
NOTHING uint8_t petiole_put_float(petiole *board, uint8_t entity, float value) {
  (void)entity, (void)value;
  return board->state;
}
NOTHING uint8_t petiole_put_text(petiole *board, uint8_t entity, const char *value) {
  (void)entity, (void)value;
  return board->state;
}
NOTHING uint8_t petiole_put_value(petiole *board, uint8_t entity, const petiole_value *value) {
  (void)entity, (void)value;
  return board->state;
}
NOTHING uint8_t petiole_publish(petiole *board, const char *subject, const void *payload, uint16_t length) {
  (void)subject, (void)payload, (void)length;
  return board->state;
}
NOTHING uint8_t petiole_drop_oldest(petiole *board) { return board->state; }
NOTHING uint8_t petiole_log(petiole *board, uint8_t level, const char *text) {
  (void)level, (void)text;
  return board->state;
}
NOTHING uint8_t petiole_request(petiole *board, const char *subject, const void *payload, uint16_t length, uint32_t time_ms,
                                uint16_t *id) {
  (void)subject, (void)payload, (void)length, (void)time_ms, (void)id;
  return board->state;
}
NOTHING uint8_t petiole_reply(petiole *board, uint16_t id, uint8_t code, const void *payload, uint16_t length) {
  (void)id, (void)code, (void)payload, (void)length;
  return board->state;
}
NOTHING void petiole_ask_time(petiole *board) { board->due = 1; }
NOTHING void petiole_sleep(petiole *board, uint32_t ms) { board->silent_ms = ms; }
NOTHING uint8_t petiole_may_reply(const petiole *board, uint16_t length) {
  (void)length;
  return board->state;
}
