/* All memory of the library besides the buffers, whose sizes the macros give. */
#include "../../firmware-bridge/include/petiole.h"

enum {
  BUFFERS = sizeof(((petiole_sender *)0)->line) + sizeof(((petiole_receiver *)0)->frame) + sizeof(((petiole_ring *)0)->bytes)
};

char context[sizeof(petiole) - BUFFERS] = {1};
