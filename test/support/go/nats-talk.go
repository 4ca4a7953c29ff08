// A program with nats.go, as it comes with Debian: says what each step came to, one line each.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 20 * time.Second

func check(what string, err error) {
	if err == nil {
		fmt.Printf("%s: OK\n", what)
	} else {
		fmt.Printf("%s: %s\n", what, err)
	}
}

func main() {
	options := []nats.Option{nats.NoReconnect(), nats.Name("go")}
	if len(os.Args) > 2 {
		options = append(options, nats.RootCAs(os.Args[2]))
	}
	nc, err := nats.Connect(os.Args[1], options...)
	check("connect", err)
	if err != nil {
		os.Exit(1)
	}
	sub, err := nc.SubscribeSync("go.>")
	check("subscribe", err)
	check("auto unsubscribe", sub.AutoUnsubscribe(1001))
	sent := nats.NewMsg("go.headers")
	sent.Header.Set("K", "v")
	check("publish with headers", nc.PublishMsg(sent))
	msg, err := sub.NextMsg(patience)
	check("next", err)
	fmt.Println("header:", msg.Header.Get("K"))

	good := 0
	for i := 0; i < 1000; i++ {
		nc.Publish("go.n", []byte(fmt.Sprint(i)))
	}
	for i := 0; i < 1000; i++ {
		if msg, err = sub.NextMsg(patience); err == nil && string(msg.Data) == fmt.Sprint(i) {
			good++
		}
	}
	fmt.Println("in order:", good)
	_, err = sub.NextMsg(2 * time.Second)
	check("after the last", err)

	echo := func(m *nats.Msg) { m.Respond(m.Data) }
	_, err = nc.Subscribe("echo", echo)
	check("responder", err)
	_, err = nc.QueueSubscribe("work", "g", echo)
	check("queue group", err)
	msg, err = nc.Request("echo", []byte("over"), patience)
	check("request", err)
	fmt.Println("answer:", string(msg.Data))
	_, err = nc.Request("work", nil, patience)
	check("request to a group", err)
	_, err = nc.Request("nobody", nil, patience)
	check("request to nobody", err)

	js, _ := nc.JetStream()
	ack, err := js.Publish("kept.go", nil)
	check("js publish", err)
	if err == nil {
		fmt.Println("stream:", ack.Stream, ack.Sequence)
	}
	check("drain", nc.Drain())
}
