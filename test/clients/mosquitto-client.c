/*
 * Drives libmosquitto against a box: publishes and receives at every QoS, in order, retains, leaves a will.
 * Arguments: host, port, version (3.1.1 or 5.0), authority file or '-'. Prints a line for each thing that it did.
 */
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGES 60
#define DEADLINE_S 20

static int connected, subscribed, published, received, in_order = 1, next_of[3], will_seen, retained_seen;

static void on_connect(struct mosquitto *client, void *data, int code) {
  (void)client;
  (void)data;
  if (code == 0) connected++;
}

static void on_subscribe(struct mosquitto *client, void *data, int mid, int count, const int *granted) {
  (void)client, (void)data, (void)mid;
  for (int i = 0; i < count; i++)
    if (granted[i] < 128) subscribed++;
}

static void on_publish(struct mosquitto *client, void *data, int mid) {
  (void)client, (void)data, (void)mid;
  published++;
}

static void on_message(struct mosquitto *client, void *data, const struct mosquitto_message *message) {
  (void)client;
  (void)data;
  const char *last = strrchr(message->topic, '/') + 1;
  if (strcmp(last, "will") == 0) will_seen++;
  else if (strcmp(last, "kept") == 0) retained_seen += message->retain ? 1 : 0;
  else {
    int qos = last[0] - '0';
    if (atoi(message->payload) != next_of[qos]++ || message->qos != qos) in_order = 0;
    received++;
  }
}

static void fail(const char *what) {
  printf("FAILED %s\n", what);
  exit(1);
}

/* Runs both clients until the counter is there. */
static void await(struct mosquitto *one, struct mosquitto *other, const int *counter, int wanted, const char *what) {
  time_t end = time(NULL) + DEADLINE_S;
  while (*counter < wanted) {
    if (one != NULL) mosquitto_loop(one, 5, 1);
    if (other != NULL) mosquitto_loop(other, 5, 1);
    if (time(NULL) > end) fail(what);
  }
  printf("did %s\n", what);
  fflush(stdout);
}

static struct mosquitto *make(const char *name, int version, const char *authority) {
  struct mosquitto *client = mosquitto_new(name, true, NULL);
  if (client == NULL) fail("mosquitto_new");
  mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, version);
  mosquitto_connect_callback_set(client, on_connect);
  mosquitto_subscribe_callback_set(client, on_subscribe);
  mosquitto_publish_callback_set(client, on_publish);
  mosquitto_message_callback_set(client, on_message);
  mosquitto_username_pw_set(client, "line3", "secret");
  if (strcmp(authority, "-") != 0 && mosquitto_tls_set(client, authority, NULL, NULL, NULL, NULL) != 0) fail("TLS");
  return client;
}

int main(int count, char **arguments) {
  if (count != 5) fail("arguments: host port version authority");
  const char *host = arguments[1], *authority = arguments[4];
  int port = atoi(arguments[2]);
  int version = strcmp(arguments[3], "5.0") == 0 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311;
  char prefix[64], topic[96], text[16];
  snprintf(prefix, sizeof prefix, "c/%s/%s", arguments[3], strcmp(authority, "-") == 0 ? "tcp" : "tls");
  mosquitto_lib_init();

  snprintf(topic, sizeof topic, "reader-%s", prefix);
  struct mosquitto *reader = make(topic, version, authority);
  if (mosquitto_connect(reader, host, port, 20) != MOSQ_ERR_SUCCESS) fail("connect");
  await(reader, NULL, &connected, 1, "connect");
  snprintf(topic, sizeof topic, "%s/#", prefix);
  mosquitto_subscribe(reader, NULL, topic, 2);
  await(reader, NULL, &subscribed, 1, "subscribe");

  snprintf(topic, sizeof topic, "writer-%s", prefix);
  struct mosquitto *writer = make(topic, version, authority);
  snprintf(topic, sizeof topic, "%s/will", prefix);
  mosquitto_will_set(writer, topic, 4, "gone", 1, false);
  if (mosquitto_connect(writer, host, port, 20) != MOSQ_ERR_SUCCESS) fail("connect the writer");
  await(reader, writer, &connected, 2, "connect with a will");
  for (int i = 0; i < MESSAGES; i++) {
    snprintf(topic, sizeof topic, "%s/%d", prefix, i % 3);
    int length = snprintf(text, sizeof text, "%d", i / 3);
    /* With its end: the reader takes it as a string. */
    mosquitto_publish(writer, NULL, topic, length + 1, text, i % 3, false);
  }
  await(reader, writer, &published, MESSAGES, "publish at QoS 0, 1 and 2");
  await(reader, writer, &received, MESSAGES, "receive every message");
  if (!in_order) fail("in order, at their QoS");
  printf("did order and QoS\n");

  snprintf(topic, sizeof topic, "%s/kept", prefix);
  mosquitto_publish(writer, NULL, topic, 4, "kept", 1, true);
  await(reader, writer, &published, MESSAGES + 1, "retain");
  mosquitto_subscribe(reader, NULL, topic, 1);
  await(reader, writer, &retained_seen, 1, "receive what is retained");
  mosquitto_publish(writer, NULL, topic, 0, NULL, 1, true);
  await(reader, writer, &published, MESSAGES + 2, "clear what is retained");

  /* No DISCONNECT: the library closes its socket. */
  mosquitto_destroy(writer);
  await(reader, NULL, &will_seen, 1, "receive the will");
  mosquitto_disconnect(reader);
  mosquitto_destroy(reader);
  mosquitto_lib_cleanup();
  printf("did done\n");
  return 0;
}
