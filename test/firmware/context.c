/* All memory of the library besides the buffers, whose sizes the macros give. */
#include "../../firmware-bridge/include/petiole.h"

enum {
  BUFFERS = sizeof(((petiole *)0)->line) + sizeof(((petiole *)0)->receiver.frame) + sizeof(((petiole *)0)->bytes)
};

char context[sizeof(petiole) - BUFFERS] = {1};
