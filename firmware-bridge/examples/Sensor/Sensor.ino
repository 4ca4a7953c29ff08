/*
 * A thermometer. Each value is kept until the gateway has it on its disk, and joins others on the way.
 * On the gateway: serial: [{ name: greenhouse, port: /dev/ttyUSB0, bridge: true }]; values are on greenhouse.temperature.
 */
#include <Petiole.h>

enum { TEMPERATURE, LIGHT };

const PetioleEntity entities[] = {
    {"temperature", "°C", 0.01f, -40, 125, 1000, PETIOLE_INTEGER, false},
    {"light", "%", 0, 0, 100, 1000, PETIOLE_INTEGER, false},
};

Petiole board;
uint32_t measuredAt;

void setup() {
  Serial.begin(115200);
  board.firmware("sensor", "1.0.0");
  board.batch(500);
  board.begin(Serial, "greenhouse-3", entities, 2);
}

void loop() {
  board.loop();
  if (millis() - measuredAt < 1000) return;
  measuredAt = millis();
  // An LM35 gives 10 mV for each degree: hundredths of a degree, at 5 V and 10 bits.
  board.put(TEMPERATURE, analogRead(A1) * 48828L / 1000);
  board.put(LIGHT, analogRead(A2) * 100L / 1023);
}
