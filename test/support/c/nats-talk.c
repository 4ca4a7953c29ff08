/* A program with libnats, as it comes with Debian: says what each step came to, one line each. */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(const char *what, natsStatus status) {
  printf("%s: %s\n", what, natsStatus_GetText(status));
  fflush(stdout);
}

static void respond(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure) {
  natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg), natsMsg_GetDataLength(msg));
  natsMsg_Destroy(msg);
}

int main(int argc, char **argv) {
  natsOptions *opts = NULL;
  natsConnection *nc = NULL;
  natsSubscription *sub = NULL, *echo = NULL, *group = NULL;
  natsMsg *msg = NULL, *sent = NULL;
  const char *value = NULL;
  char text[32];
  int i, good = 0;

  natsOptions_Create(&opts);
  natsOptions_SetURL(opts, argv[1]);
  natsOptions_SetName(opts, "c");
  natsOptions_SetAllowReconnect(opts, false);
  if (argc > 2) natsOptions_LoadCATrustedCertificates(opts, argv[2]);
  natsStatus status = natsConnection_Connect(&nc, opts);
  check("connect", status);
  if (status != NATS_OK) return 1;

  check("subscribe", natsConnection_SubscribeSync(&sub, nc, "c.>"));
  check("auto unsubscribe", natsSubscription_AutoUnsubscribe(sub, 1001));
  natsMsg_Create(&sent, "c.headers", NULL, "hi", 2);
  natsMsgHeader_Set(sent, "K", "v");
  check("publish with headers", natsConnection_PublishMsg(nc, sent));
  check("next", natsSubscription_NextMsg(&msg, sub, 20000));
  natsMsgHeader_Get(msg, "K", &value);
  printf("header: %s\n", value);
  natsMsg_Destroy(msg);

  for (i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "%d", i);
    natsConnection_PublishString(nc, "c.n", text);
  }
  for (i = 0; i < 1000 && natsSubscription_NextMsg(&msg, sub, 20000) == NATS_OK; i++) {
    snprintf(text, sizeof text, "%d", i);
    if (strcmp(natsMsg_GetData(msg), text) == 0) good++;
    natsMsg_Destroy(msg);
  }
  printf("in order: %d\n", good);
  check("after the last", natsSubscription_NextMsg(&msg, sub, 2000));

  check("responder", natsConnection_Subscribe(&echo, nc, "echo", respond, NULL));
  check("queue group", natsConnection_QueueSubscribe(&group, nc, "work", "g", respond, NULL));
  check("request", natsConnection_RequestString(&msg, nc, "echo", "over", 20000));
  printf("answer: %.*s\n", natsMsg_GetDataLength(msg), natsMsg_GetData(msg));
  natsMsg_Destroy(msg);
  check("request to a group", natsConnection_RequestString(&msg, nc, "work", "x", 20000));
  natsMsg_Destroy(msg);
  check("request to nobody", natsConnection_RequestString(&msg, nc, "nobody", "x", 20000));

  jsCtx *js = NULL;
  jsPubAck *ack = NULL;
  natsConnection_JetStream(&js, nc, NULL);
  check("js publish", js_Publish(&ack, js, "kept.c", "x", 1, NULL, NULL));
  if (ack != NULL) printf("stream: %s %llu\n", ack->Stream, (unsigned long long)ack->Sequence);
  jsPubAck_Destroy(ack);
  jsCtx_Destroy(js);

  check("drain", natsConnection_Drain(nc));
  natsMsg_Destroy(sent);
  natsSubscription_Destroy(sub);
  natsSubscription_Destroy(echo);
  natsSubscription_Destroy(group);
  natsConnection_Destroy(nc);
  natsOptions_Destroy(opts);
  nats_Close();
  return 0;
}
