# A static program on an empty base: nothing to patch but the program itself.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" \
    -o /out/capture-worker ./cmd/capture-worker

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/capture-worker /capture-worker
# nobody, by number: an empty base knows no names.
USER 65532:65532
ENTRYPOINT ["/capture-worker"]
CMD ["run"]
