package main

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// subscription is a subscriber and how the router is to use it.
type subscription struct {
	message.Subscriber
	topic    string
	handlers int          // each with a subscription of its own
	running  func() error // called when all have subscribed
}

// route hands messages to the handler with Watermill's router, which runs a
// goroutine for each message that the subscriber gives out. It returns when
// ctx ends and leaves what is in work to be delivered again: closing pkg/jetstream
// under load may send on a channel that is closed, which ends the program.
func (p *program) route(ctx context.Context, s subscription) error {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("making the router: %w", err)
	}
	for i := range s.handlers {
		router.AddConsumerHandler(fmt.Sprintf("capture-%d", i), s.topic, s, p.handle)
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.WithoutCancel(ctx)) }()
	running := router.Running()
	for {
		select {
		case <-running:
			running = nil
			if err := s.running(); err != nil {
				return err
			}
		case err := <-ended:
			return fmt.Errorf("the router ended: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
}
