/*
 * A program that uses all of the library, in as little code of its own as it can: linked with the library, and with
 * functions that do nothing in its place (-DNOTHING), it tells what the library adds to a program.
 */
#include "../../firmware-bridge/include/petiole.h"

int whole_main(void);

static volatile uint8_t uart;
static volatile uint32_t milliseconds;

static uint16_t write_line(void *user, const uint8_t *bytes, uint16_t length) {
  (void)user;
  (void)length;
  uart = *bytes;
  return 1;
}

static uint32_t now(void *user) {
  (void)user;
  return milliseconds;
}

static void on_receipt(void *user, uint32_t number, uint8_t code) {
  (void)user;
  uart = (uint8_t)(number + code);
}

static void on_link(void *user, uint8_t is_open) {
  (void)user;
  uart = is_open;
}

static void on_time(void *user, const uint8_t *bytes) {
  (void)user;
  uart = *bytes;
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  (void)user;
  uart = (uint8_t)(subscription + subject.length);
  return *payload.bytes;
}

static uint8_t on_request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms) {
  (void)time_ms;
  uart = *subject.bytes;
  if (!petiole_may_reply((petiole *)user, payload.length)) return PETIOLE_BUSY;
  return petiole_reply((petiole *)user, id, PETIOLE_OK, payload.bytes, payload.length);
}

static uint8_t on_command(void *user, uint8_t entity, petiole_value *value) {
  return petiole_put_value((petiole *)user, entity, value);
}

static void on_reply(void *user, uint16_t id, uint8_t code, petiole_slice payload) {
  (void)user;
  uart = (uint8_t)(id + code + *payload.bytes);
}

static uint8_t on_write(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length) {
  (void)user;
  uart = (uint8_t)(*bytes + offset + length);
  return uart;
}

static uint8_t on_step(void *user, uint8_t step, petiole_image *image) {
  (void)user;
  uart = (uint8_t)(step + image->size);
  return uart;
}

static petiole board;
static const petiole_entity entities[] = {
    {"level", "%", 0, 0, 100, 60000, PETIOLE_INTEGER, 0},
    {"valve", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
};
static const char *const subscriptions[] = {".say", ".ask"};
static const petiole_config config = {
    .identity = "tank-7",
    .entities = entities,
    .entity_count = 2,
    .user = &board,
    .write = write_line,
    .now = now,
    .receipt = on_receipt,
    .link = on_link,
    .time = on_time,
    .subscriptions = subscriptions,
    .subscription_count = 2,
    .message = on_message,
    .request = on_request,
    .command = on_command,
    .reply = on_reply,
    .firmware_write = on_write,
    .firmware_step = on_step,
};

int whole_main(void) {
  if (!petiole_resume(&board, &config)) petiole_start(&board, &config);
  for (;;) {
    uint8_t byte = uart;
    uint16_t id;
    petiole_receive(&board, &byte, 1);
    milliseconds = petiole_poll(&board);
    uart = petiole_is_open(&board);
    uart = petiole_waiting(&board);
    uart = petiole_put_boolean(&board, 1, uart);
    uart = petiole_put_integer(&board, 0, uart);
    uart = petiole_put_float(&board, 0, 0.5f);
    uart = petiole_put_text(&board, 0, "text");
    uart = petiole_publish(&board, ".door", "open", 4);
    milliseconds = petiole_number(&board);
    uart = petiole_drop_oldest(&board);
    uart = petiole_log(&board, PETIOLE_INFO, "text");
    uart = petiole_request(&board, ".what", "now", 3, 5000, &id);
    petiole_ask_time(&board);
    petiole_sleep(&board, milliseconds);
  }
}
