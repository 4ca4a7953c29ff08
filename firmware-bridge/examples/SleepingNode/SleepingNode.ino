/*
 * A level gauge that sleeps for a quarter of an hour. It tells the gateway for how long it will be silent, keeps its
 * conversation over the sleep, and sends one value as soon as it is awake.
 */
#include <Petiole.h>

const PetioleEntity entities[] = {
    {"level", "%", 0, 0, 100, 900000, PETIOLE_INTEGER, false},
};

Petiole board;

// Here the board would really sleep; the clock must go on, or `millis` be set forward.
void doze(uint32_t milliseconds) { delay(milliseconds); }

void setup() {
  Serial.begin(9600);
  board.firmware("gauge", "1.0.0");
  board.sleeps();
  board.begin(Serial, "tank-7", entities, 1);
}

void loop() {
  const uint32_t quarter = 900000;
  board.put(0, analogRead(A1) * 100L / 1023);
  board.sleep(quarter);
  doze(quarter);
}
