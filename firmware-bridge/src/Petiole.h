/*
 * The library in the way of Arduino. One board a sketch:
 *
 *   const PetioleEntity entities[] = {{"temperature", "°C", 0.01, -40, 125, 1000, PETIOLE_INTEGER, false}};
 *   Petiole board;
 *   void setup() { Serial.begin(115200); board.begin(Serial, "greenhouse-3", entities, 1); }
 *   void loop() { board.loop(); ... board.put(0, value); }
 *
 * Sizes are macros of petiole.h (PETIOLE_FRAME_MAX, PETIOLE_RING_BYTES ...): on AVR the small ones below are taken unless
 * the build gives others.
 */
#ifndef PETIOLE_ARDUINO_H
#define PETIOLE_ARDUINO_H

#include <Arduino.h>

#include "../include/petiole.h"

typedef petiole_entity PetioleEntity;
typedef petiole_value PetioleValue;
typedef petiole_slice PetioleText;

class Petiole {
 public:
  /* Of an entity that is writable: sets it; may change the value to what is in force. PETIOLE_OK, or why not. */
  typedef uint8_t (*Command)(uint8_t entity, PetioleValue &value);
  /* A message of the subscription with this place in the table. */
  typedef void (*Message)(uint8_t subscription, PetioleText subject, PetioleText payload);
  /* To be answered by reply(id, ...), now or later. */
  typedef void (*Request)(uint16_t id, PetioleText subject, PetioleText payload);

  Petiole() : config_(), line_(0), command_(0), message_(0), request_(0) {}

  /* Before begin: what the board hears, and who takes it. */
  void onCommand(Command command) { command_ = command; }
  void onMessage(const char *const *subjects, uint8_t count, Message message, Request request = 0) {
    config_.subscriptions = subjects;
    config_.subscription_count = count;
    message_ = message;
    request_ = request;
  }
  void firmware(const char *name, const char *version, const char *hardware = 0) {
    config_.firmware = name;
    config_.version = version;
    config_.hardware = hardware;
  }
  /* Values wait so long for company. */
  void batch(uint16_t milliseconds) { config_.batch_ms = milliseconds; }
  /* It sleeps for long: see sleep. */
  void sleeps() { config_.features |= PETIOLE_SLEEPS; }

  /* `line` has begun. `identity` is the same for ever, and no other board's. */
  void begin(Stream &line, const char *identity, const PetioleEntity *entities, uint8_t count) {
    line_ = &line;
    config_.identity = identity;
    config_.entities = entities;
    config_.entity_count = count;
    config_.user = this;
    config_.write = write;
    config_.now = now;
    config_.command = command_ ? command : 0;
    config_.message = message;
    config_.request = request_ ? request : 0;
    config_.entropy = micros() ^ (uint32_t)analogRead(A0) << 20;
    petiole_start(&board_, &config_);
  }

  /* In loop(), as often as can be. Returns for how many milliseconds there is nothing to do unless a byte comes. */
  uint32_t loop() {
    while (line_->available() > 0) {
      uint8_t byte = (uint8_t)line_->read();
      petiole_receive(&board_, &byte, 1);
    }
    return petiole_poll(&board_);
  }

  bool isOpen() const { return petiole_is_open(&board_) != 0; }
  /* Frames without receipt. */
  uint8_t waiting() const { return petiole_waiting(&board_); }

  /* Values are kept until the gateway has them on its disk. false: there is no room, and it is counted as lost. */
  bool put(uint8_t entity, bool value) { return petiole_put_boolean(&board_, entity, value) == PETIOLE_OK; }
  bool put(uint8_t entity, int value) { return petiole_put_integer(&board_, entity, value) == PETIOLE_OK; }
  bool put(uint8_t entity, long value) { return petiole_put_integer(&board_, entity, (int32_t)value) == PETIOLE_OK; }
  bool put(uint8_t entity, double value) { return petiole_put_float(&board_, entity, (float)value) == PETIOLE_OK; }
  bool put(uint8_t entity, const char *value) { return petiole_put_text(&board_, entity, value) == PETIOLE_OK; }

  bool publish(const char *subject, const char *text) {
    return petiole_publish(&board_, subject, text, (uint16_t)strlen(text)) == PETIOLE_OK;
  }
  bool log(const char *text, uint8_t level = PETIOLE_INFO) { return petiole_log(&board_, level, text) == PETIOLE_OK; }
  bool reply(uint16_t id, const char *text, uint8_t code = PETIOLE_OK) {
    return petiole_reply(&board_, id, code, text, (uint16_t)strlen(text)) == PETIOLE_OK;
  }

  /* Sends what waits, tells the gateway that it will be silent, and returns when the board may sleep. */
  void sleep(uint32_t milliseconds, uint32_t patience = 5000) {
    uint32_t from = millis();
    while ((waiting() > 0 || !isOpen()) && millis() - from < patience) loop();
    petiole_sleep(&board_, milliseconds);
    while (loop() == 0) continue;
    line_->flush();
  }

 private:
  static Petiole *self(void *user) { return (Petiole *)user; }
  static uint32_t now(void *) { return millis(); }
  static uint16_t write(void *user, const uint8_t *bytes, uint16_t length) {
    int room = self(user)->line_->availableForWrite();
    if (room <= 0) return 0;
    return (uint16_t)self(user)->line_->write(bytes, length < (uint16_t)room ? length : (uint16_t)room);
  }
  static uint8_t command(void *user, uint8_t entity, petiole_value *value) { return self(user)->command_(entity, *value); }
  static uint8_t message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
    if (self(user)->message_) self(user)->message_(subscription, subject, payload);
    return PETIOLE_OK;
  }
  static uint8_t request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t) {
    self(user)->request_(id, subject, payload);
    return PETIOLE_OK;
  }

  petiole_config config_;
  petiole board_;
  Stream *line_;
  Command command_;
  Message message_;
  Request request_;
};

#endif
