package capture_test

import (
	"errors"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

func TestAnswerErr(t *testing.T) {
	t.Parallel()
	if err := (capture.Answer{Kind: capture.AnswerDone}).Err(); err != nil {
		t.Errorf("done: %v, want nil", err)
	}
	for _, a := range []capture.Answer{
		{}, {Kind: capture.AnswerUnknown, Code: "-1000"}, {Kind: capture.AnswerNotSent, Why: "no route"},
		{Kind: capture.AnswerRefused, Code: "-4084", Why: "the amount exceeds the authorization"},
	} {
		failed, ok := errors.AsType[*capture.AnswerError](a.Err())
		if !ok || failed.Answer != a || failed.Error() == "" {
			t.Errorf("%+v: %v, want an AnswerError with this answer", a, failed)
		}
	}
}
