// Package connector is a connector of tidegate: it fetches the items of an API page by page, and stages those that changed.
//
// This file is yours: the settings, the pages, what a record is, the cursor. source.go makes requests, with retries and
// redirects, and does not know your API. gen/ is generated.
package connector

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"
	"unicode/utf8"

	"connector/gen/tidegate_sync_job"
	wit_types "connector/gen/wit/types"
)

type (
	job     = tidegate_sync_job.Request
	report  = tidegate_sync_job.Report
	setting = tidegate_sync_job.Setting
)

// The version of the state that this connector writes. Raise it when the meaning of the state changes.
const stateVersion = 1

// How far before the greatest change time seen the next run asks again: rows that the source committed late, or with the
// very same time, are not lost. The host merges what is fetched twice by PRIMARY_KEY.
const lookback = 5 * time.Minute

func Describe() tidegate_sync_job.Description {
	return tidegate_sync_job.Description{
		Name:    "new-connector",
		Version: "0.1.0",
		Summary: "Fetches the items of an API",
		// Here: your settings. os.Getenv has their values.
		Settings: []setting{
			{
				Name:          "SOURCE_API_URL",
				Doc:           "URL of the first page",
				Required:      true,
				ShapesRecords: true, // After a change, old and new records may not fit together.
				Example:       wit_types.Some("https://api.example.com/items"),
			},
			{Name: "MAX_RETRIES", Doc: "Retries of a request", Default: wit_types.Some(retries)},
			{Name: "RETRY_PAUSE", Doc: "Pause before the first retry", Default: wit_types.Some(pause)},
		},
		// Here: `| tidegate_sync_job.Staging_Deletions` if your connector writes deleted.ndjson.
		Stages: tidegate_sync_job.Staging_Changes,
	}
}

func Run(request job) wit_types.Result[report, tidegate_sync_job.Failure] {
	defer func() {
		// A defect: its text is in the error of the run.
		if defect := recover(); defect != nil {
			log("warn: panic: %v", defect)
			os.Exit(70)
		}
	}()
	done, err := fetch(request)
	if err != nil {
		return wit_types.Err[report](asFailure(err))
	}
	return wit_types.Ok[report, tidegate_sync_job.Failure](done)
}

func fetch(request job) (report, error) {
	none := report{}
	source, err := sourceFromSettings()
	if err != nil {
		return none, err
	}
	cursor, err := readState(request.State, request.FullRefresh)
	if err != nil {
		return none, err
	}
	next, err := firstURL(request.Window, cursor)
	if err != nil {
		return none, err
	}
	file, err := os.Create("/out/records.ndjson")
	if err != nil {
		return none, output(err)
	}
	out := bufio.NewWriterSize(file, 1<<18)

	greatest, pages, count := cursor, uint64(0), uint64(0)
	asked := map[string]bool{}
	for next != nil {
		at := next
		if asked[at.String()] {
			return none, protocol(at, "names a page that was read already")
		}
		asked[at.String()] = true
		body, err := source.get(at)
		if err != nil {
			return none, err
		}
		var items []json.RawMessage
		if items, next, err = readPage(body, at); err != nil {
			return none, err
		}
		for _, item := range items { // Page by page: memory holds one of them.
			changed, err := updated(item, at)
			if err != nil {
				return none, err
			}
			if changed.After(greatest) {
				greatest = changed
			}
			if err := writeLine(out, item); err != nil {
				return none, output(err)
			}
		}
		count += uint64(len(items))
		pages++
	}
	if err := out.Flush(); err != nil {
		return none, output(err)
	}
	if err := file.Close(); err != nil {
		return none, output(err)
	}

	// A cursor is never past the time of the first answer: rows that change while this run reads pages are asked for again,
	// and a row dated 2099 does not hide those that come later.
	if greatest.After(source.began) {
		greatest = source.began
	}
	done := report{Extent: tidegate_sync_job.Extent_Changes, Pages: pages, Fetched: count, Staged: count}
	isWindow := request.Window.IsSome()
	if cursor.IsZero() && !isWindow {
		done.Extent = tidegate_sync_job.Extent_Everything
	}
	if !greatest.IsZero() {
		done.Cursor = wit_types.Some(text(greatest))
	}
	switch {
	case isWindow: // A window is read again; where the job is does not change.
		done.State = request.State.SomeOr(writeState(time.Time{}))
	default:
		done.State = writeState(greatest)
	}
	return done, nil
}

// Here: how your API is asked for what changed.
func firstURL(window wit_types.Option[tidegate_sync_job.Window], cursor time.Time) (*url.URL, error) {
	first, err := url.Parse(os.Getenv("SOURCE_API_URL"))
	if err != nil {
		return nil, settings(problem("SOURCE_API_URL", "is not a URL"))
	}
	query := first.Query()
	if window.IsSome() {
		query.Set("since", window.Some().Start)
		query.Set("until", window.Some().End)
	} else if !cursor.IsZero() {
		query.Set("since", text(cursor.Add(-lookback)))
	}
	first.RawQuery = query.Encode()
	return first, nil
}

// Here: the records of a page, and where the next one is: nil on the last page. Each record keeps the text of the source, so
// that no digit is lost.
func readPage(body []byte, at *url.URL) ([]json.RawMessage, *url.URL, error) {
	var page struct {
		Items []json.RawMessage `json:"items"`
		Next  json.RawMessage   `json:"next"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, nil, protocol(at, "is not a page of items: %v", err)
	}
	// An answer without `next` is no page, so it cannot be the last one.
	if page.Items == nil || page.Next == nil || !utf8.Valid(body) {
		return nil, nil, protocol(at, "is not a page of items")
	}
	var link *string
	if err := json.Unmarshal(page.Next, &link); err != nil {
		return nil, nil, protocol(at, "is not a page of items: `next` is not a URL or null")
	}
	if link == nil {
		return page.Items, nil, nil
	}
	next, err := at.Parse(*link)
	if err != nil || *link == "" {
		return nil, nil, protocol(at, "is not a page of items: `next` is not a URL")
	}
	return page.Items, next, nil
}

// Here: when a record changed. Return an error for a record that you cannot use.
func updated(item json.RawMessage, at *url.URL) (time.Time, error) {
	var has struct {
		Updated *time.Time `json:"updated"`
	}
	if err := json.Unmarshal(item, &has); err != nil || has.Updated == nil {
		return time.Time{}, protocol(at, "has an item without a time `updated`")
	}
	return has.Updated.UTC(), nil
}

// Here: what is published of a record: its own text, on one line.
func writeLine(out *bufio.Writer, item json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, item); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err := out.Write(line.Bytes())
	return err
}

type state struct {
	V      int        `json:"v"`
	Cursor *time.Time `json:"cursor"`
}

// The cursor of the last run. A state of a newer version is refused: this connector would misread it.
func readState(given wit_types.Option[string], fullRefresh bool) (time.Time, error) {
	var read state
	if given.IsNone() {
		return time.Time{}, nil
	}
	err := json.Unmarshal([]byte(given.Some()), &read)
	switch {
	case read.V > stateVersion:
		why := fmt.Sprintf("has version %d, this connector reads up to %d", read.V, stateVersion)
		return time.Time{}, settings(problem("state", why))
	case fullRefresh || err == nil && read.V >= 1 && read.Cursor == nil:
		return time.Time{}, nil
	case err != nil || read.V < 1:
		return time.Time{}, settings(problem("state", "cannot be read: run once with `--full-refresh`"))
	}
	return read.Cursor.UTC(), nil
}

func writeState(cursor time.Time) string {
	written := state{V: stateVersion}
	if !cursor.IsZero() {
		written.Cursor = &cursor
	}
	text, _ := json.Marshal(written) // It cannot fail: the year of a time that was read has four digits.
	return string(text)
}

func text(cursor time.Time) string {
	return cursor.Format(time.RFC3339Nano)
}
