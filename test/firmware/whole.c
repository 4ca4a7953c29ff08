/* The least program that uses all of the library: what is linked is what it costs. */
#include "../../firmware-bridge/include/petiole.h"

typedef void (*anything)(void);
int whole_main(void);

/* One line for each function: the compiler can't know that none is called. */
static volatile anything used;

int whole_main(void) {
  used = (anything)petiole_start;
  used = (anything)petiole_resume;
  used = (anything)petiole_receive;
  used = (anything)petiole_poll;
  used = (anything)petiole_is_open;
  used = (anything)petiole_waiting;
  used = (anything)petiole_number;
  used = (anything)petiole_put_boolean;
  used = (anything)petiole_put_integer;
  used = (anything)petiole_put_float;
  used = (anything)petiole_put_text;
  used = (anything)petiole_put_value;
  used = (anything)petiole_publish;
  used = (anything)petiole_drop_oldest;
  used = (anything)petiole_log;
  used = (anything)petiole_ask_time;
  used = (anything)petiole_sleep;
  used = (anything)petiole_request;
  used = (anything)petiole_reply;
  for (;;) continue;
}
