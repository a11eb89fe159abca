--- What the program knows of this run, for calls that do not say otherwise: set by the command
-- line.
return {
  model = nil,     -- name, from -m
  device = nil,    -- from -d
  keeps_partial = false,  -- at the prompt: a picture that is stopped is decoded as far as it is
  recipe = nil,    -- { name, sha256, text } of what runs, for provenance
}
