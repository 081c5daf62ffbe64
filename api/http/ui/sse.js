// Server-sent events out of a fetch answer (EventSource can only GET).

/**
 * Yields {event, data} for every event of a text/event-stream body; data is the text of its data lines.
 * @param {(letters: number) => void} received hears how much of the next event is there, as it comes
 */
export async function* events(body, received) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let event = "message";
  let data = [];
  let letters = 0;
  const counted = (more) => received((letters += more));
  for await (const line of lines(reader, counted)) {
    if (line === "") {
      letters = 0;
      if (data.length) yield { event, data: data.join("\n") };
      event = "message";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
}

/** Lines of a stream. A line of many megabytes comes in many pieces, which are joined once. */
async function* lines(reader, counted) {
  let pieces = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    counted(value.length);
    let start = 0;
    for (let end = value.indexOf("\n"); end >= 0; end = value.indexOf("\n", start)) {
      pieces.push(value.slice(start, end));
      yield pieces.join("").replace(/\r$/, "");
      pieces = [];
      start = end + 1;
    }
    pieces.push(value.slice(start));
  }
}
