--- Connectors of two denoisers, and the middle block that reads them, against the same composed of
-- ops and against differences.
local weft = require "weft"
local T = weft.tensor

local B, S, C, N = 2, 4, 8, 3

local function randn(seed, ...) return T.randn({ ... }, { seed = seed }) end
local function differ(a, b) return (a - b):abs():max():item() end
local function named(m)
  local all = {}
  for name, t in m:parameters() do all[name] = t end
  return all
end

--- That every parameter's and input's slope is what differences of a loss say.
local function check_slopes(loss, list)
  local _, grads = weft.grad(loss, list)
  for i, t in ipairs(list) do
    local direction, eps = T.randn(t:size(), { seed = 40 + i }):to "f64", 1e-5
    local slope = (grads[i] * direction):sum():item()
    t:add_(direction * eps)
    local up = loss():item()
    t:add_(direction * (-2 * eps))
    local down = loss():item()
    t:add_(direction * eps)
    local want = (up - down) / (2 * eps)
    assert.is_true(math.abs(want) > 1e-4, "input " .. i)
    -- central differences of step 1e-5 in double lose about half of the digits
    assert.are.near(want, slope, 1e-6 * (1 + math.abs(want)), "input " .. i)
  end
end

describe("mid_kv of a denoiser", function()
  -- One level whose blocks are left out of the sum: what stands between the two convolutions of
  -- the ends is the middle block alone.
  local bare = {
    in_channels = 3, out_channels = 2, block_out_channels = { C }, layers_per_block = 1,
    down_block_types = { "DownBlock2D" }, up_block_types = { "UpBlock2D" },
    norm_num_groups = 4, conv_in_kernel = 1, conv_out_kernel = 1, cross_attention_dim = 6,
    attention_head_dim = 2, use_linear_projection = true, time_embedding_dim = 8,
  }
  local full = weft.with(bare, { block_out_channels = { C, 2 * C },
    down_block_types = { "DownBlock2D", "CrossAttnDownBlock2D" },
    up_block_types = { "CrossAttnUpBlock2D", "UpBlock2D" } })

  local function inputs(m, more)
    return weft.with({ sample = randn(1, B, S, S, 3), timestep = T { 900, 20 },
      context = m.config.mid_block_type ~= "UNetMidBlock2D" and randn(2, B, 5, 6) or nil },
      more or {})
  end

  it("is attention of the middle block's pixels, added to them", function()
    local m = weft.model.new("unet2d", weft.with(bare, { mid_block_type = "UNetMidBlock2D" }),
      { seed = 1 })
    for name, t in m:parameters() do
      if name:find "conv2" then m:set(name, t * 0) end
    end
    -- the blocks on the way up keep the first half of what they read
    local keep = {}
    for i = 1, C do
      keep[i] = { { {} } }
      for k = 1, 2 * C do keep[i][1][1][k] = i == k and 1 or 0 end
    end
    for k = 0, 1 do
      local name = ("up_blocks.0.resnets.%d.conv_shortcut"):format(k)
      m:set(name .. ".weight", T(keep))
      m:set(name .. ".bias", T.zeros { C })
    end
    local p, kv, x = named(m), randn(3, B, 5, N, 2 * C), inputs(m)
    local h = weft.conv2d(x.sample, p["conv_in.weight"], p["conv_in.bias"])
    local q = weft.layer_norm(h, nil, nil, 1e-5):reshape(B, S * S, C)
    local found = T.zeros { B, S * S, C }
    for n = 1, N do
      local k, v = kv:select(3, n):narrow(3, 1, C), kv:select(3, n):narrow(3, C + 1, C)
      local scores = q:matmul(k:transpose(2, 3):contiguous()) / math.sqrt(C)
      found = found + scores:softmax():matmul(v:contiguous())
    end
    local y = weft.group_norm(h + found:reshape(B, S, S, C), p["conv_norm_out.weight"],
      p["conv_norm_out.bias"], 4, 1e-5):silu()
    local want = weft.conv2d(y, p["conv_out.weight"], p["conv_out.bias"])
    assert.is_true(differ(want, m(weft.with(x, { mid_kv = kv }))) < 1e-5)
    assert.is_true(differ(want, m(x)) > 1e-2)
  end)

  it("of zeros changes no byte, and no sample but its own", function()
    local m = weft.model.new("unet2d", full, { seed = 2 })
    local x, kv = inputs(m), randn(3, B, 5, N, 4 * C)
    local alone, with = m(x), m(weft.with(x, { mid_kv = kv }))
    assert.are.equal(alone:bytes(), m(weft.with(x, { mid_kv = kv * 0 })):bytes())
    assert.is_true(differ(alone, with) > 1e-3)
    kv:narrow(1, 2, 1):mul_(0)
    local first = m(weft.with(x, { mid_kv = kv }))
    assert.are.equal(0, differ(first:select(1, 1), with:select(1, 1)))
    assert.are.equal(0, differ(first:select(1, 2), alone:select(1, 2)))
  end)

  it("has a gradient that agrees with differences", function()
    local m, x = weft.model.new("unet2d", full, { seed = 2 }):to "f64", {}
    for name, t in pairs(inputs(m)) do x[name] = t:to "f64" end
    local kv = randn(3, B, 5, N, 4 * C):to "f64"
    check_slopes(function()
      return (m(weft.with(x, { mid_kv = kv })) * randn(9, B, S, S, 2):to "f64"):sum()
    end, { kv, named(m)["conv_in.weight"] })
  end)

  it("of another shape fails by name", function()
    local m = weft.model.new("unet2d", full, { seed = 2 })
    local ok, err = pcall(m, inputs(m, { mid_kv = randn(3, B, 5, N, 2 * C) }))
    assert.is_false(ok)
    assert.truthy(tostring(err):find("unet2d: mid_kv is f32 [2,5,3,16], wanted [2,*,*,32]", 1,
      true), tostring(err))
  end)
end)

describe("connectors", function()
  local E, WIDE = 6, 10
  local config = {
    in_channels = 3, patch_size = 2, hidden_dim = C, num_layers = 1, norm_num_groups = 4,
    time_embedding_dim = 12, environment_dim = E, num_attention_heads = N,
    image_grid = { 2, 2 }, audio_grid = { 4, 1 }, image_dim = WIDE, audio_dim = WIDE + 2,
  }
  local m
  setup(function()
    m = weft.model.new("joint", config, { seed = 1 })
    for name, t in m:parameters() do
      if name:find "to_v" then m:set(name, T.randn(t:size(), { seed = #name })) end
    end
  end)

  local function inputs()
    return { image = randn(1, B, 8, 8, 3), audio = randn(2, B, 8, 8, 3), timestep = T { 900, 20 } }
  end

  --- The environment of one medium, composed of ops.
  local function environment(p, name, x, emb, rows, columns)
    local function of(layer)
      return p[name .. ".environment." .. layer .. ".weight"],
        p[name .. ".environment." .. layer .. ".bias"]
    end
    local function conv(h, layer)
      local w, b = of(layer)
      return weft.conv2d(h, w, b, { padding = 1 })
    end
    local function norm(h, layer)
      local w, b = of(layer)
      return weft.group_norm(h, w, b, 4, 1e-5)
    end
    -- p x p latents side by side, in the order (row, column, channel)
    x = x:reshape(B, 4, 2, 4, 2, 3):permute(1, 2, 4, 3, 5, 6):contiguous():reshape(B, 4, 4, 12)
    local h = conv(x, "conv_in")
    local r = conv(norm(h, "resnets.0.norm1"):silu(), "resnets.0.conv1")
    local t = weft.linear(emb, of "resnets.0.time_emb_proj"):reshape(B, 1, 1, 2 * C)
    r = norm(r, "resnets.0.norm2") * (t:narrow(4, 1, C) + 1) + t:narrow(4, C + 1, C)
    h = norm(h + conv(r:silu(), "resnets.0.conv2"), "norm_out"):silu()
    local cells = {}
    for i = 1, rows do
      for k = 1, columns do
        local cell = h:narrow(2, (i - 1) * 4 / rows + 1, 4 / rows)
          :narrow(3, (k - 1) * 4 / columns + 1, 4 / columns)
        cells[#cells + 1] = cell:mean { 2, 3 }
      end
    end
    return weft.linear(weft.stack(cells, 2), of "proj_out") + of "position_embedding"
  end

  --- The embedding of times of width 12, activated.
  local function embed(p, times)
    local rows = {}
    for i, t in ipairs(times) do
      rows[i] = {}
      for k = 0, 5 do
        local angle = t * 10000 ^ (-k / 6)
        rows[i][k + 1], rows[i][k + 7] = math.cos(angle), math.sin(angle)
      end
    end
    local h = weft.linear(T(rows), p["time_embedding.linear_1.weight"],
      p["time_embedding.linear_1.bias"]):silu()
    return weft.linear(h, p["time_embedding.linear_2.weight"],
      p["time_embedding.linear_2.bias"]):silu()
  end

  --- Keys, then values that a medium's denoiser makes of the other's environment.
  local function connect(p, name, e, width)
    local function of(layer)
      return weft.linear(e, p[name .. layer .. ".weight"], p[name .. layer .. ".bias"])
        :reshape(B, e:size(2), N, width)
    end
    return weft.cat({ of ".to_k", of ".to_v" }, 4)
  end

  it("are what their file says, composed of ops", function()
    local p, x = named(m), inputs()
    local y, emb = m(x), embed(p, { 900, 20 })
    local seen = environment(p, "image", x.image, emb, 2, 2)
    local heard = environment(p, "audio", x.audio, emb, 4, 1)
    assert.are.same({ B, 4, E }, y.image_environment:size())
    assert.is_true(differ(seen, y.image_environment) < 1e-5)
    assert.is_true(differ(heard, y.audio_environment) < 1e-5)
    assert.is_true(differ(connect(p, "image", heard, WIDE), y.image_kv) < 1e-5)
    assert.is_true(differ(connect(p, "audio", seen, WIDE + 2), y.audio_kv) < 1e-5)
  end)

  it("have gradients that agree with differences", function()
    local of = weft.model.new("joint", config, { seed = 1 }):to "f64"
    for name, t in of:parameters() do
      if name:find "to_v" then of:set(name, T.randn(t:size(), { seed = #name }):to "f64") end
    end
    local p, x, list = named(of), inputs(), {}
    for name, t in pairs(x) do x[name] = t:to "f64" end
    for i, name in ipairs { "time_embedding.linear_1.weight", "image.to_k.weight",
      "image.to_v.weight", "audio.environment.conv_in.weight", "image.environment.proj_out.bias",
      "audio.environment.position_embedding.weight",
      "image.environment.resnets.0.time_emb_proj.weight" } do
      list[i] = p[name]
    end
    list[#list + 1] = x.image
    check_slopes(function()
      local y = of(x)
      return (y.image_kv:square() * randn(7, B, 4, N, 2 * WIDE):to "f64"):sum()
        + (y.audio_kv:square() * randn(8, B, 4, N, 2 * WIDE + 4):to "f64"):sum()
    end, list)
  end)

  it("say nothing when fresh, and are written and read back", function()
    local fresh = weft.model.new("joint", config, { seed = 3 })
    assert.are.equal(0, fresh(inputs()).image_kv:narrow(4, WIDE + 1, WIDE):abs():max():item())
    local folder = os.tmpname()
    os.remove(folder)
    m:save(folder)
    local again = weft.model.load(folder)
    os.execute("rm -r '" .. folder .. "'")
    assert.are.equal("joint", again.arch)
    assert.are.equal(0, differ(m(inputs()).audio_kv, again(inputs()).audio_kv))
  end)

  it("say what is wrong", function()
    local function error_of(f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      return tostring(err)
    end
    local function with(name, t) return weft.with(inputs(), { [name] = t }) end
    assert.truthy(error_of(m, with("audio", randn(1, B, 8, 8, 4)))
      :find("joint: audio is f32 [2,8,8,4], wanted [2,*,*,3]", 1, true))
    assert.truthy(error_of(m, with("image", randn(1, B, 6, 8, 3)))
      :find("joint: image is f32 [2,6,8,3], wanted multiples of 4x4", 1, true))
    assert.truthy(error_of(m, with("timestep", T { 1, 2, 3 }))
      :find("joint: timestep has 3 values, wanted 1 or [2]", 1, true))
    assert.truthy(error_of(weft.model.new, "joint", weft.with(config, { num_layers = 9 }))
      :find('"num_layers" is 9, wanted 1 to 8', 1, true))
  end)
end)
