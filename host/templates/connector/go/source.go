// Requests: GET with retries and redirects. The host adds the credential, and refuses what it does not grant.
package connector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"connector/gen/tidegate_sync_job"
	"connector/gen/wasi_http_outgoing_handler"
	"connector/gen/wasi_http_types"
	"connector/gen/wasi_io_streams"
	wit_types "connector/gen/wit/types"
)

// Defaults of MAX_RETRIES and RETRY_PAUSE.
const retries, pause = "3", "2s"

const (
	redirectsMax = 5
	// A page is held in memory. MEMORY_LIMIT has to hold it and what was allocated for it: see init.
	pageBytesMax = 16 << 20
	// If the source asks for a longer wait, the next scheduled run is the better retry.
	retryAfterMax = 300
	// A time as HTTP writes it.
	httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// The host writes what it returns into memory that Go allocates, and no import may be called meanwhile. A garbage collection
// that began there would: so there is one before each request, and none in between.
func init() { debug.SetGCPercent(-1) }

// A failure is why a run ends without a report.
type failure struct {
	tag       uint8
	detail    tidegate_sync_job.Detail
	problems  []tidegate_sync_job.Problem
	isPassing bool // The next attempt may work.
}

func (why failure) Error() string { return why.detail.Message }

// A source makes requests, and tries again as often as the settings say.
type source struct {
	retries int
	pause   time.Duration
	// The time of the source's first answer: its `Date`, or this machine's time where that is earlier or there is no `Date`. A
	// row that changes later may be missing on pages that were read already.
	began time.Time
}

// The error has all settings that cannot be used.
func sourceFromSettings() (*source, error) {
	or := func(name, value string) string {
		if given := os.Getenv(name); given != "" {
			return given
		}
		return value
	}
	var problems []tidegate_sync_job.Problem
	tries, err := strconv.Atoi(or("MAX_RETRIES", retries))
	if err != nil || tries < 0 {
		problems = append(problems, problem("MAX_RETRIES", "is not a number"))
	}
	wait, err := time.ParseDuration(or("RETRY_PAUSE", pause))
	if err != nil || wait < 0 {
		problems = append(problems, problem("RETRY_PAUSE", "is not a time such as `2s`"))
	}
	if problems != nil {
		return nil, settings(problems...)
	}
	return &source{retries: tries, pause: wait}, nil
}

// The whole body of the answer. What may pass is tried again.
func (from *source) get(at *url.URL) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		runtime.GC()
		body, err := from.follow(at)
		var why failure
		if err == nil || !errors.As(err, &why) || !why.isPassing {
			return body, err
		}
		asked := why.detail.RetryAfterSeconds
		if attempt == from.retries || asked.SomeOr(0) > retryAfterMax {
			return nil, err
		}
		// 1, 5, 20, 20 … times the pause, and up to a quarter more: not all jobs come back at once.
		backoff := from.pause * time.Duration([]int{1, 5, 20}[min(attempt, 2)])
		wait := backoff
		if asked.IsSome() {
			wait = time.Duration(asked.Some()) * time.Second
		}
		wait += rand.N(backoff/4 + 1)
		log("warn: %v; trying again in %v", err, wait.Round(time.Millisecond))
		time.Sleep(wait)
	}
}

// One attempt: the body, behind at most five redirects. The host refuses an origin that is not granted.
func (from *source) follow(at *url.URL) ([]byte, error) {
	for range redirectsMax + 1 {
		response, err := send(at)
		if err != nil {
			return nil, err
		}
		if from.began.IsZero() {
			from.began = time.Now().UTC()
			if date := clock(response); date.Before(from.began) {
				from.began = date
			}
		}
		status := response.Status()
		location, asked := header(response, "location"), retryAfter(response)
		if status == 200 {
			return read(response, at)
		}
		response.Drop()
		switch status {
		case 301, 302, 303, 307, 308:
			if target, err := at.Parse(location); err == nil && location != "" {
				at = target
				continue
			}
		}
		answered := failure{detail: detail("%s answered %d", place(at), status)}
		answered.detail.Status, answered.detail.RetryAfterSeconds = wit_types.Some(status), asked
		switch {
		case status == 408 || status == 425 || status == 429 || status >= 500:
			answered.tag, answered.isPassing = tidegate_sync_job.Failure_Unavailable, true
		case status == 401 || status == 403:
			answered.tag = tidegate_sync_job.Failure_Denied
		case status >= 400:
			answered.tag = tidegate_sync_job.Failure_Refused
		default:
			answered.tag = tidegate_sync_job.Failure_Protocol
		}
		return nil, answered
	}
	return nil, protocol(at, "is behind more than %d redirects", redirectsMax)
}

// The head of the answer.
func send(at *url.URL) (*wasi_http_types.IncomingResponse, error) {
	request := wasi_http_types.MakeOutgoingRequest(wasi_http_types.MakeFields())
	scheme := wasi_http_types.MakeSchemeHttps()
	if at.Scheme == "http" {
		scheme = wasi_http_types.MakeSchemeHttp()
	} else if at.Scheme != "https" {
		return nil, protocol(at, "is not a URL")
	}
	if request.SetScheme(wit_types.Some(scheme)).IsErr() ||
		request.SetAuthority(wit_types.Some(at.Host)).IsErr() ||
		request.SetPathWithQuery(wit_types.Some(at.RequestURI())).IsErr() {
		return nil, protocol(at, "is not a URL")
	}
	sent := wasi_http_outgoing_handler.Handle(request, wit_types.None[*wasi_http_types.RequestOptions]())
	if sent.IsErr() {
		return nil, notAnswered(at, sent.Err())
	}
	future := sent.Ok()
	defer future.Drop()
	ready := future.Subscribe()
	ready.Block()
	ready.Drop()
	answer := future.Get().Some().Ok() // It is ready, and read once.
	if answer.IsErr() {
		return nil, notAnswered(at, answer.Err())
	}
	return answer.Ok(), nil
}

// The whole body. A body that was cut off is an error: never a shorter page.
func read(response *wasi_http_types.IncomingResponse, at *url.URL) ([]byte, error) {
	defer response.Drop()
	incoming := response.Consume().Ok()
	defer incoming.Drop()
	stream := incoming.Stream().Ok()
	defer stream.Drop()
	var body []byte
	for len(body) <= pageBytesMax {
		chunk := stream.BlockingRead(256 << 10)
		if chunk.IsOk() {
			body = append(body, chunk.Ok()...)
			continue
		}
		if chunk.Err().Tag() == wasi_io_streams.StreamError_Closed {
			return body, nil
		}
		cutOff := detail("the answer of %s was cut off", place(at))
		return nil, failure{tag: tidegate_sync_job.Failure_Protocol, detail: cutOff, isPassing: true}
	}
	return nil, protocol(at, "is larger than %d bytes", pageBytesMax)
}

// Why there is no answer: refused by the host, or the network.
func notAnswered(at *url.URL, code wasi_http_types.ErrorCode) error {
	if code.Tag() == wasi_http_types.ErrorCode_HttpRequestDenied {
		return failure{tag: tidegate_sync_job.Failure_Denied, detail: detail("%s is not granted", place(at))}
	}
	why := detail("no answer from %s (wasi:http error-code %d)", place(at), code.Tag())
	return failure{tag: tidegate_sync_job.Failure_Unavailable, detail: why, isPassing: true}
}

// The source's clock, as the answer says it; this machine's where it says none.
func clock(response *wasi_http_types.IncomingResponse) time.Time {
	if date, err := time.Parse(httpDate, header(response, "date")); err == nil {
		return date.UTC()
	}
	return time.Now().UTC().Truncate(time.Second)
}

// How many seconds an answer asks to wait: it names them, or a time by the source's clock.
func retryAfter(response *wasi_http_types.IncomingResponse) wit_types.Option[uint64] {
	asked := header(response, "retry-after")
	if seconds, err := strconv.ParseUint(asked, 10, 32); err == nil {
		return wit_types.Some(seconds)
	}
	until, err := time.Parse(httpDate, asked)
	if err != nil {
		return wit_types.None[uint64]()
	}
	return wit_types.Some(uint64(max(0, until.Sub(clock(response))/time.Second)))
}

func header(response *wasi_http_types.IncomingResponse, name string) string {
	headers := response.Headers()
	defer headers.Drop()
	if values := headers.Get(name); len(values) > 0 {
		return string(values[0])
	}
	return ""
}

// A URL as it may be shown: its query can hold what is private.
func place(at *url.URL) string {
	return at.Scheme + "://" + at.Host + at.Path
}

// Why a run failed: lower case, no full stop, no secret.
func detail(format string, values ...any) tidegate_sync_job.Detail {
	return tidegate_sync_job.Detail{Message: fmt.Sprintf(format, values...)}
}

func protocol(at *url.URL, format string, values ...any) error {
	why := detail("%s %s", place(at), fmt.Sprintf(format, values...))
	return failure{tag: tidegate_sync_job.Failure_Protocol, detail: why}
}

func output(err error) error {
	return failure{tag: tidegate_sync_job.Failure_Output, detail: detail("cannot write records.ndjson: %v", err)}
}

func settings(problems ...tidegate_sync_job.Problem) error {
	return failure{tag: tidegate_sync_job.Failure_Settings, problems: problems}
}

func problem(setting, message string) tidegate_sync_job.Problem {
	return tidegate_sync_job.Problem{Setting: setting, Message: message}
}

func asFailure(err error) tidegate_sync_job.Failure {
	var why failure
	if !errors.As(err, &why) {
		panic(err)
	}
	switch why.tag {
	case tidegate_sync_job.Failure_Settings:
		return tidegate_sync_job.MakeFailureSettings(why.problems)
	case tidegate_sync_job.Failure_Denied:
		return tidegate_sync_job.MakeFailureDenied(why.detail)
	case tidegate_sync_job.Failure_Refused:
		return tidegate_sync_job.MakeFailureRefused(why.detail)
	case tidegate_sync_job.Failure_Unavailable:
		return tidegate_sync_job.MakeFailureUnavailable(why.detail)
	case tidegate_sync_job.Failure_Output:
		return tidegate_sync_job.MakeFailureOutput(why.detail)
	case tidegate_sync_job.Failure_Data:
		return tidegate_sync_job.MakeFailureData(why.detail)
	default:
		return tidegate_sync_job.MakeFailureProtocol(why.detail)
	}
}

// One line of the run's log. A line that begins with `warn: ` is a warning.
func log(format string, values ...any) {
	fmt.Fprintln(os.Stderr, strings.ReplaceAll(fmt.Sprintf(format, values...), "\n", " "))
}
