/*
 * A valve and a lamp that commands switch: `petiole pub`, MQTT, NATS or the cloud sends true to pump.valve.set, and the
 * answer is what is in force. It also answers questions on pump.ask.
 */
#include <Petiole.h>

enum { VALVE, LAMP };

const uint8_t VALVE_PIN = 7;

const PetioleEntity entities[] = {
    {"valve", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, true},
    {"lamp", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, true},
};
const char *const subjects[] = {".ask"};

Petiole board;

uint8_t command(uint8_t entity, PetioleValue &value) {
  digitalWrite(entity == VALVE ? VALVE_PIN : LED_BUILTIN, value.as.integer ? HIGH : LOW);
  // Everybody may see it, and not only who asked.
  board.put(entity, value.as.integer != 0);
  return PETIOLE_OK;
}

void request(uint16_t id, PetioleText, PetioleText) { board.reply(id, digitalRead(VALVE_PIN) ? "open" : "shut"); }

void setup() {
  pinMode(VALVE_PIN, OUTPUT);
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);
  board.firmware("actuator", "1.0.0");
  board.onCommand(command);
  board.onMessage(subjects, 1, NULL, request);
  board.begin(Serial, "pump-1", entities, 2);
}

void loop() { board.loop(); }
