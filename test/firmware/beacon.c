/* The least program that has the no-ACK profile: what is linked is what it costs. */
#include "../../firmware-bridge/include/petiole_beacon.h"

static const petiole_entity entities[] = {{"level", "%", 0, 0, 100, 60000, PETIOLE_INTEGER, 0}};
static const petiole_config config = {.identity = "tank-7", .entities = entities, .entity_count = 1};
static petiole_beacon beacon;
static volatile uint8_t line;

static void send(void *user, uint8_t byte) {
  (void)user;
  line = byte;
}

int beacon_main(void);
int beacon_main(void) {
  petiole_beacon_start(&beacon, &config, send);
  for (;;) {
    petiole_beacon_integer(&beacon, 0, line);
    petiole_beacon_send(&beacon);
  }
}
