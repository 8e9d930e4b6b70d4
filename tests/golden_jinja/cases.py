"""Templates of our own, which between them use every construct, filter, test, method, error text and rule of white space.

CASES: (template, name of its variables). Each line of a multi-line string below is one template; %N stands for a newline."""

VARIABLES = {
    "v": {
        "s": "Hello World", "e": "", "u": "Grüße, 世界! 🙂", "w": "  \t padded \n ", "i": 7, "n": -3, "f": 2.5, "big": 1e20, "z": 0, "t": True, "no": False, "nil": None,
        "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "el": [], "d": {"b": 1, "a": "x", "C": [1, {"k": None}]}, "ed": {}, "q": "it's \"q\" \\ <b>&\n",
        "rows": [{"n": "x", "v": 2, "g": {"k": "b"}}, {"n": "Y", "v": 1, "g": {"k": "a"}}, {"n": "z", "v": 2, "g": {"k": "B"}}, {"n": "w"}],
        "tree": [{"n": "1", "c": [{"n": "1.1", "c": []}, {"n": "1.2", "c": [{"n": "1.2.1", "c": []}]}]}, {"n": "2", "c": []}],
        "fl": [0.1, 1e16, 1e-5, 123456789.125, 1.0, -0.0, 1e22, 5e-324, 0.0001, 12345678901234567.0, 100.0, 3.14159265358979],
        "items": {"items": 1, "keys": 2, "get": 3}, "html": "<a href=\"x\">T&C's</a>", "lines": "a\nb\r\nc\rd\u2028e\n\nf", "wide": 10**30, "wides": [2**64, -(2**63) - 1, 10**30, 10**22], "num": "42", "fnum": " 3.7e1 ", "hex": "0x1F",
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>why</think>\n\nYo"}, {"role": "user", "content": "Bye"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}],
        "under": "some_snake case-and (paren) {x} [y] <z> o'clock ǆ ß ﬁ Σ ΑΣ ΑΣΑ İ", "dig": "०1²Ⅷ", "ctl": "\x01\x1f\x7f\u00a0\u200b\ue000\U000e0001",
    },
}

EXPRESSIONS = r"""
s
e
u
i
f
big
t
no
nil
l
d
undefinedname
[]
{}
()
(1,)
(1, 2)
[1, 2.0, 'x', none, true]
{'a': 1, 2: 'b', none: [1], (1, 2): 3}
{'a': 1, 'a': 2}
{1: 'a', true: 'b', 1.0: 'c'}
1 + 2 * 3
(1 + 2) * 3
2 ** 3 ** 2
-2 ** 2
- 2
+i
+f
-f
- -i
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 // 2
-7.5 % 2
7.5 % -2
1 / 2
4 / 2
1 / 3
2 ** -1
2 ** 0.5
2.0 ** 3
0 ** 0
10 ** 15
1e3
1.5e-7
1_000
0x1f + 0o17 + 0b101
1_0.5_0
true + true
true * 3
i + f
i - 10
i == 7.0
1 == true
0 == false
'1' == 1
none == false
none == none
[1, 2] == [1, 2.0]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
l < [3, 2]
'a' < 'b' < 'c'
1 < 2 > 1
1 < 3 < 2
1 in l
5 not in l
'ell' in s
'' in s
'b' in d
1 in d
'x' in (1, 'x')
none in [none]
'a' in d.keys()
('a', 'x') in d.items()
i is divisibleby 7
not i
not e
not el and not ed
e or 'fallback'
s and i
nil or no
t and nil
i if t else f
i if no else f
i if no
(i if no) is defined
'x' if no else 'y' if no else 'z'
s ~ i ~ f ~ t ~ nil ~ l
s + 'x'
'a' 'b' "c"
l + [4]
(1,) + (2,)
'ab' * 3
3 * 'ab'
'ab' * -1
l * 2
[0] * 3
2 * (1, 2)
s[0]
s[-1]
s[100]
s[1:3]
s[:5]
s[6:]
s[::-1]
s[::2]
s[8:2:-2]
s[-5:-1]
u[0:4]
u[-1]
u[7]
u[::-1]
l[0]
l[-1]
l[9]
l[::-1]
l[1:]
l[:-1]
l[5:]
(1, 2, 3)[1:]
range(10)[2:8:2]
range(5)[1]
range(5)[9]
range(3)
range(1, 10, 3)
range(5, 0, -2)|list
range(0)|list
range(3) == range(0, 3)
d.a
d['a']
d.b
d.C[1].k
d.missing
d.missing is defined
d['missing']
d[1]
d.get('a')
d.get('zz')
d.get('zz', 5)
d.keys()
d.values()
d.items()
d.items()|list
d.keys()|list
items.items()|list
items['items']
items.keys()|list
items.get('get')
d.copy()
dict(a=1, b='x')
dict(d, z=1)
dict([('a', 1), ['b', 2]])
dict()
dict.fromkeys(['a', 'b'], 0)
namespace(a=1).a
namespace(a=1)
namespace({'a': 1}, b=2).b
namespace().zz
l.count(1)
l.index(2)
l.append
l.append is defined
(1, 2, 1).count(1)
nil.x
i.x
s.x
s.x is undefined
s.__class__
s.__class__ is defined
fl
fl[0] + 0.2
1e400
-1e400
1e16
123456789012345680.0
1.0
0.1
100 * 1.1
fl|string
[1.5, -0.0, 1e100]
i|string + 'x'
q
[q]
{q: q}
['it\'s']
["it's"]
['"']
['\'"']
[u, ctl]
[lines]
'\n\t\\\'\"\x41\u00e9\U0001F600\101\q'
'\é\世'
'tab\tnew\nline'
s|upper
s|lower
u|upper
u|lower
u|title
s|title
s|capitalize
under|title
under|capitalize
under|upper
under|lower
under.title()
under.capitalize()
under.swapcase()
under.upper()
under.casefold()
'ÄÖÜß'|lower
w|trim
'[' ~ w.strip() ~ ']'
'[' ~ w.lstrip() ~ ']'
'[' ~ w.rstrip() ~ ']'
s.strip('Hd')
s|trim('Hd')
'xxabxx'.lstrip('x')
'xxabxx'.rstrip('xb')
'xx'.strip('x')
'ab'.strip('')
'世a世'.strip('世')
s.split()
w.split()
s.split('o')
s.split('o', 1)
s.split(none, 1)
s.split('zz')
s.split(' ')[-1]
s.rsplit('o', 1)
' a  b c '.rsplit(none, 1)
' a  b c '.split(none, 1)
' a  b c '.split(maxsplit=1)
'a,b,,c,'.split(',')
'a,b,,c,'.rsplit(',', 2)
''.split()
''.split(',')
'aaa'.rsplit('aa')
lines.splitlines()
lines.splitlines(true)
''.splitlines()
s.partition('o')
s.partition('zz')
s.rpartition('o')
s.rpartition('zz')
s.replace('o', '0')
s.replace('o', '0', 1)
s|replace('o', '0')
s|replace('o', '0', 1)
s|replace('', '-')
u.replace('', '-', 3)
s.replace('l', '')
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('W', 6)
s.endswith('ld')
s.endswith('lo', 0, 5)
s.endswith(())
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
u.find('世')
u.rfind('🙂')
u.index('ß')
s.count('l')
s.count('')
s.count('l', 4)
s.join(['1', '2', '3'])
', '.join(ls)
''.join([])
','.join('abc')
s.center(21)
s.center(20, '*')
s.ljust(15, '.')
s.rjust(15)
'42'.zfill(5)
'-42'.zfill(5)
s.removeprefix('Hello ')
s.removesuffix('World')
s.removesuffix('x')
'a\tb\n\tc'.expandtabs(4)
s.isalpha()
'abc'.isalpha()
'abc1'.isalnum()
'12'.isdigit()
dig.isdigit()
'²'.isdigit()
'²'.isdecimal()
'Ⅷ'.isnumeric()
' \t'.isspace()
''.isspace()
'ABC1'.isupper()
'abc1'.islower()
'1'.islower()
s.istitle()
'hello World'.istitle()
u.isascii()
s.isascii()
s.isprintable()
ctl.isprintable()
'{} and {}'.format(s, i)
'{1} {0}'.format('a', 'b')
'{a} {b}'.format(a=1, b='x')
'{0.a} {1[0]} {0[b]}'.format(d, l)
'{{}} {}'.format(1)
'{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c')
'{:05d} {:+d} {:x} {:X} {:o} {:b} {:#x}'.format(42, 42, 255, 255, 8, 5, 255)
'{:.2f} {:e} {:g} {:%}'.format(3.14159, 12345.678, 0.0001, 0.25)
'{:,} {:_} {:,.2f}'.format(1234567, 1234567, 1234567.891)
'{:*^9}'.format('mid')
'{:.3}'.format('truncate')
'{!r} {!s}'.format('x', 'y')
'{:{w}}|'.format('x', w=4)
'{:>{}}|'.format('x', 4)
'%s %s' % ('a', 1)
'%s' % 'a'
'%s' % [1, 2]
'%s' % nil
'%(a)s-%(b)d' % {'a': 'x', 'b': 5}
'%d%%' % 50
'%5d|%-5d|%05d|%+d|% d' % (1, 2, 3, 4, 5)
'%x %X %o %#x' % (255, 255, 8, 255)
'%.2f %5.1f %e %g' % (3.14159, 2.25, 1234.5, 0.00001)
'%r %r' % ('a', 1.0)
'%10s|%-10s|%.2s' % ('a', 'b', 'cde')
'%c%c' % ('x', 65)
'%*d' % (5, 42)
'%s' % undefinedname
'%i' % 3.9
'%s and %s'|format('a', 'b')
'%(x)s'|format(x=1)
'x' % []
s|length
u|length
l|count
d|length
e|length
range(5)|length
undefinedname|length
l|first
l|last
s|first
s|last
d|first
d|last
el|first
el|last
l|sort
ls|sort
ls|sort(case_sensitive=true)
ls|sort(reverse=true)
rows[:3]|sort(attribute='v')|map(attribute='n')|list
rows[:3]|sort(attribute='v,n')|map(attribute='n')|list
rows[:3]|sort(attribute='g.k')|map(attribute='n')|join
rows[:3]|sort(true, attribute='v')|map(attribute='n')|join
l|reverse|list
s|reverse
d|reverse|list
u|reverse
l|join
l|join(', ')
ls|join('-')|upper
rows|join(',', attribute='n')
s|join('.')
d|join('/')
l|list
s|list
d|list
u|list
rows|map(attribute='n')|list
rows|map(attribute='v', default=0)|list
rows|map(attribute='g.k')|list
rows|map('length')|list
ls|map('upper')|list
ls|map('replace', 'a', 'z')|join
l|map('string')|list
el|map('upper')|list
rows|selectattr('v')|map(attribute='n')|list
rows|selectattr('v', 'defined')|map(attribute='n')|list
rows|selectattr('v', 'equalto', 2)|map(attribute='n')|list
rows|selectattr('v', '==', 2)|list|length
rows|rejectattr('v', 'undefined')|map(attribute='n')|join
rows|rejectattr('v')|map(attribute='n')|join
rows|selectattr('g.k', 'in', ['a', 'b'])|map(attribute='n')|list
messages|selectattr('role', 'eq', 'user')|map(attribute='content')|list
messages|rejectattr('role', 'eq', 'user')|list|length
l|select('odd')|list
l|reject('odd')|list
l|select('>', 1)|list
[0, 1, '', 'x', none]|select|list
[0, 1, '', 'x', none]|reject|list
l|select('divisibleby', 3)|list
(l|select('odd'))|first
l|select('odd') is iterable
l|max
l|min
ls|max
ls|min
ls|max(case_sensitive=true)
rows[:3]|max(attribute='v')
rows[:3]|min(attribute='v')
el|max
l|sum
rows[:3]|sum(attribute='v')
l|sum(start=10)
[0.1, 0.2]|sum
[[1], [2]]|sum(start=[])
ls|unique|list
['a', 'A', 'b', 'a']|unique|list
['a', 'A', 'b', 'a']|unique(case_sensitive=true)|list
rows[:3]|unique(attribute='v')|map(attribute='n')|list
[1, 1.0, true, 2]|unique|list
range(7)|batch(3)|list
range(7)|batch(3, 'x')|list
range(7)|slice(3)|list
range(7)|slice(3, 'x')|list
el|batch(3)|list
rows[:3]|groupby('v')
rows[:3]|groupby('g.k')|map('first')|list
rows|groupby('v', default=9)|map('last')|map('length')|list
d|dictsort
d|dictsort(true)
{'b': 1, 'a': 2}|dictsort(by='value')
{'b': 1, 'a': 2}|dictsort(reverse=true)
d|items|list
undefinedname|items|list
i|string
nil|string
l|string
d|string
3.7|int
-3.7|int
'42'|int
num|int + 1
fnum|int
fnum|float
hex|int
hex|int(base=16)
'0b11'|int(0, 2)
'0o17'|int(base=8)
'z'|int
'z'|int(-1)
'12_3'|int
' 12 '|int
nil|int
t|int
l|int(5)
'1e3'|int
'inf'|int
'1.5'|float
'x'|float
'x'|float(1.5)
'nan'|float
'inf'|float
i|float
nil|float
n|abs
-2.5|abs
2.5|round
3.5|round
2.567|round(2)
2.567|round(1, 'floor')
2.511|round(1, 'ceil')
i|round
1234|round(-2)
1250|round(-2)
1234.5|round(-2)
2.675|round(2)
1e20|round
42|round(1, 'ceil')
undefinedname|default('dflt')
nil|default('dflt')
nil|default('dflt', true)
e|d('x', true)
undefinedname|default
d.zz|default(1)
undefinedname|default(default_value=3)
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, false, true)
lines|indent('> ', first=true, blank=true)
''|indent(first=true)
'a\n'|indent
s|center(20)
s|wordcount
u|wordcount
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(11, false, '...', 0)
'föö bar/?&'|urlencode
html|e
html|escape
html|forceescape
html|safe
(html|safe) + '<i>'
'<i>' + (html|safe)
(html|safe) ~ '<i>'
(html|e)|e
[html|safe]
('<%s>'|safe) % '<x>'
('<{}>'|safe).format('<x>')
('<i>'|safe).join(['<a>', 'b'])
('a<b'|safe).replace('a', '<')
('<b>'|safe)|upper
('<b>'|safe)|trim|length
('<b>'|safe) is escaped
'x' is escaped
(s|safe).split()
d|attr('a')
d|attr('a') is defined
namespace(a=5)|attr('a')
d|tojson
l|tojson
s|tojson
u|tojson
q|tojson
ctl|tojson
u|tojson(ensure_ascii=true)
u|tojson(true)
d|tojson(indent=2)
d|tojson(indent=none)
d|tojson(indent='->')
d|tojson(indent=0)
[[], {}, ()]|tojson(indent=2)
d|tojson(separators=(',', ':'))
d|tojson(separators=(',', ':'), indent=1)
{'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true)
(1, 2)|tojson
nil|tojson
t|tojson
fl|tojson
big|tojson
('nan'|float)|tojson
[('inf'|float), -('inf'|float)]|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
tools|tojson
tools|tojson(indent=4)
'a/b<c>'|tojson
s is defined
undefinedname is defined
undefinedname is undefined
undefinedname is not defined
nil is none
nil is not none
t is true
t is boolean
i is boolean
no is false
i is integer
t is integer
f is float
i is number
t is number
s is number
s is string
i is string
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
d.items() is sequence
i is sequence
l is iterable
i is iterable
nil is iterable
undefinedname is iterable
undefinedname is sequence
range is callable
s is callable
undefinedname is callable
s.upper is callable
3 is odd
4 is even
4 is odd
9 is divisibleby 3
9 is divisibleby(2)
'abc' is lower
'ABC' is upper
'Abc' is lower
1 is eq 1
1 is equalto(1)
1 is == 1
1 is ne 2
1 is lt 2
2 is gt 1
2 is ge 2
2 is le 1
2 is lessthan 3
2 is greaterthan 3
1 is in [1, 2]
'a' is in 'abc'
'upper' is filter
'nope' is filter
'odd' is test
nil is sameas none
t is sameas true
1 is sameas 1
not s is string
s is string and i is number
s is string or x
undefinedname == undefinedname
undefinedname == nil
undefinedname != 1
undefinedname == ''
[undefinedname]
{'a': undefinedname}
undefinedname ~ 'x'
undefinedname or 'x'
undefinedname|upper
undefinedname|list
undefinedname|join
undefinedname|trim
undefinedname|first is undefined
undefinedname|sort
undefinedname|sum
undefinedname|string|length
undefinedname|map('upper')|list
undefinedname|replace('a', 'b')
undefinedname|title
undefinedname|e
undefinedname|unique|list
undefinedname|reverse|list
undefinedname|select|list
'a' in undefinedname
undefinedname in l
loop is defined
cycler('a', 'b').next()
cycler('a', 'b').current
joiner('|')()
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y')
strftime_now('%B %A %j %H:%M:%S %p %I %y %a %e %U %w %% %Z%z|%f')
strftime_now('no directives')
strftime_now('%-d %-m ü%Y')
strftime_now(format='%Y')
strftime_now('%')
s.upper().lower().title()
(s)
((s))
s|upper|lower
s | upper | length
[1, 2, 3][1]
{'a': {'b': 1}}.a.b
{'a': 1}['a']
'abc'[1]
l.0
messages[0]['content']
messages[-1].content
messages[1:][0].role
messages[1].content.split('</think>')[-1].lstrip('\n')
(messages|last).role
messages|map(attribute='role')|list|tojson
[x for x in l]
1 if
1 +
s |
s | nosuch
s is nosuch
d.
d[
(1
[1
{1
{1: 2
{'a' 1}
)
1 2
s s
'abc
"abc
s.upper(
f(a=1, 2)
f(**a, *b)
f(*a, *b)
f(a b)
1 is string is string
x.1a
@
$x
s ? 1 : 2
!s
a = 1
not
if
'\x4'
'\u12'
for
true.x
none()
l[]
_x
é
1..x
1.real
x..y
1 or
s[1:2:0]
s['a':]
nil[1:]
i[0]
i[1:]
d[1:]
d[[1]]
d.items()[0]
d.items()[0:1]
undefinedname.x
undefinedname['x']
undefinedname[1:]
undefinedname()
undefinedname.x.y
d.missing.x
d.missing['x']
d.missing + 1
1 + undefinedname
-undefinedname
undefinedname < 1
1 < undefinedname
undefinedname * 'a'
'a' + undefinedname
undefinedname|int
undefinedname|float
undefinedname|tojson
undefinedname|dictsort
undefinedname|indent
undefinedname|abs
undefinedname|round
undefinedname % 2
nil + 1
1 + nil
s + 1
1 + s
s + l
s + nil
s + d
l + s
l + (1,)
(1,) + l
d + d
s - s
s * s
s * 1.5
l * l
1 * nil
d * 2
s / 2
1 / 0
1 // 0
1 % 0
1.0 / 0
1.0 // 0
1.0 % 0
0 ** -1
s ** 2
-s
+nil
-l
s < 1
1 < s
nil < 1
l < 1
d < d
[1, 'a'] < [1, 2]
1 in 5
1 in s
nil in s
1 in nil
[1] in d
{[1]: 2}
{{}: 1}
s()
i()
nil()
d.a()
d.missing()
s.missing()
l.append(1)
d.update({})
d.pop('a')
l.sort()
s.__class__.x
s.__len__()
s.split('')
s.split(1)
s.replace(1, 'a')
s.replace('a', 1)
s.join(1)
s.join([1])
','.join(['a', nil])
s.index('zz')
s.startswith(1)
s.startswith(('a', 1))
s.strip(1)
s.find(1)
s.center('a')
s.center(3, 'ab')
l.index(99)
(1, 2).index(99)
d.get([1])
range()
range('a')
range(1, 2, 0)
range(1, 2, 3, 4)
range(1000000)
range(1.5)
dict(1)
dict([1])
dict([(1, 2, 3)])
namespace(_a=1)
namespace(1)
cycler()
raise_exception('my message')
raise_exception(1)
raise_exception('with ünïcode and "quotes" ' ~ l)
raise_exception()
strftime_now()
strftime_now(1)
'%d' % 'a'
'%x' % 1.5
'%f' % 'a'
'%s %s' % 1
'%s %s' % (1,)
'%s' % (1, 2)
'x' % 1
'x' % (1,)
'%' % 1
'%y' % 1
'%(a)s' % 1
'%(a)s' % {}
'%(a' % {}
'%c' % 'ab'
'{}'.format()
'{0} {}'.format(1)
'{} {0}'.format(1)
'{a}'.format()
'{'.format()
'}'.format()
'{:d}'.format('a')
'{:s}'.format(1)
'{:.2}'.format(1)
'{:5}'.format(l)
'{!x}'.format(1)
'{0.x}'.format(s)
'{0.__class__}'.format(s)
i|length
nil|length
i|list
nil|join
i|first
nil|last
i|sort
['a', 1]|sort
[nil, 1]|sort
[{}, {}]|sort
rows|sort(attribute='v')
[1, 'a']|max
[[1], [1]]|unique|list
i|map('upper')|list
ls|map('nosuch')|list
ls|map(nosuch)|list
ls|map|list
ls|select('nosuch')|list
ls|map(attribute='x', y=1)|list
ls|selectattr|list
ls|sum
[1, nil]|sum
l|sum(start='')
s|round
s|round(1, 'ceil')
1.5|round(1, 'up')
s|abs
l|dictsort
d|dictsort(by='x')
l|items|list
i|items|list
i|reverse
i|batch(2)|list
l|batch
l|batch('a')|list
l|slice(0)|list
d.items|tojson
namespace(a=1)|tojson
range(3)|tojson
{(1, 2): 3}|tojson
(l|map('string'))|tojson
l|select('odd')|length
(l|select('odd'))[0]
(l|reverse)|last
s|upper(1)
s|replace
s|replace('a')
s|default(1, 2, 3)
s|center(width=20, x=1)
s|trim(1)
i|indent
s|indent('a', 'b', 'c', 'd')
s|truncate(2)
1|format(2)
'%s'|format(1, a=2)
s is divisibleby
1 is divisibleby 0
'a' is divisibleby 2
s is odd
s is in 5
1 is lt 'a'
'%d'|format('a')
u.center(20)|length
'ß'.upper() ~ 'ŉ'.title() ~ 'ﬁn'.capitalize()
'İ'.lower()|length
"a'b".title()
'ΑΣ'.lower() ~ 'Σ'.lower() ~ 'ΑΣ.'.lower() ~ 'Α.Σ'.lower() ~ 'ΑΣ1'.lower()
'ǆabc'.title()
'ǅ'.swapcase()
'a-b_c d1e'.title()
'3rd place'.title()
'x\u0000y'|length
9223372036854775807
-9223372036854775807 - 1
2 ** 62
'9223372036854775807'|int
"\
x"
{'a':1}['a']
{'a':{'b':2}}['a']['b']
[[1]][0][0]
('a')
('a',)
not not s
not 1 == 2
1 == 1 == 1
1 not in [1] == false
- 1 | abs
-1|abs
(-1)|abs
-'1'|int
2 * 3 | string ~ 'x'
'a' ~ 1 + 2
'a' ~ 1 * 2 ~ 'b'
1 ~ 2 * 3
1 + 1 ~ 1
1 if 0 else 2 if 0 else 3
[1, 2][0] if l else 5
s[i - 7]
s[-i:]
l[l[1]]
d[ls[3]]
(l|length - 1) * 2
l|length - 1
l|length > 2
l|first == 3
s is string == true
i > 5 and f < 3 or no
i in [7] and 'a' not in 'xyz'
i is not none and i is not string
d is mapping and d.a is defined and d.a
s if s is defined and s else 'none'
"a" if "b" in "abc" and not "z" in "abc"
x is defined or s
[i, f] | map('string') | join(' ')
[] is sameas []
"%s" | format(s) | length
"é" == "é"
'a' < 'B'
'é' > 'z'
'🙂' > '世'
'' < 'a'
[1] < [1, 2]
(1, 2) < (1, 3)
true < 2
1.5 > 1
-0.0 == 0
1e15 + 0.5
1/3
2/3
10/3
1e-7
123e5
1.0e10
0.1 + 0.2
7.0
-7.25
1e21
5 // 0.3
-5 % 0.3
2 ** 10
2.5 ** 2
(-2) ** 3
1 - -1
1 - - 1
l is iterable and s is not mapping
'c' > 'a'
'a' < 'c'
'[]'|max
'[]'|min
'abcdefg'|max ~ 'gfedcba'|min
['a', 'c', 'b', 'g', 'e']|sort(reverse=true)
'ace' < 'acg'
(s|safe)|list
[s|safe, (s|safe)[0], (s|safe).swapcase()]
d.items() == d.items()
d.keys() == dict(d).keys()
d.keys() == ed.keys()
d.values() == d.values()
namespace(a=1) in d
l|truncate(5)
[1, 2, 3, 4, 5, 6, 7, 8]|truncate
d|round(1, 'floor')
nil|round(1, 'ceil')
l|round(1, 'ceil')
varargs
caller
kwargs
wide
wides
wides|tojson
wide|tojson(indent=1)
{wide: wide}|tojson
{wide: 1}[wides[2]]
[wide is integer, wide is float, wide is number, wide is defined, wide is string, wide is boolean]
[wide == wides[2], wide != wides[2], wide == wides[0], wide == big, wides[3] == fl[6], 5 == wide, wide == 'x']
[wide in wides, 5 in wides, wides|unique|list]
'%s %r' % (wide, wide)
'{} {!r}'.format(wide, wides[1])
[wide|int, wide|float, wide|string|length, wide ~ 1, wide if wide]
"""

STATEMENTS = r"""
{% for x in l %}{{ x }},{% endfor %}
{% for x in el %}{{ x }}{% else %}empty{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
{% for x in l %}{{ loop.previtem|default('-') }}<{{ x }}>{{ loop.nextitem|default('-') }} {% endfor %}
{% for x in l %}{{ loop.previtem }}|{{ loop.nextitem is defined }};{% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}
{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }} {% endfor %}
{% for c in u %}[{{ c }}]{% endfor %}
{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}
{% for x in tree recursive %}{{ x.n }}({{ loop.depth }}){% if x.c %}[{{ loop(x.c) }}]{% endif %}{% endfor %}
{% for x in tree recursive %}{{ loop.index }}{{ x.n }}{{ loop(x.c) }}{% else %}-{% endfor %}
{% for x in tree %}{{ loop(x.c) }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% continue %}{% else %}else{% endfor %}
{% for x in l %}{% break %}{% else %}else{% endfor %}
{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}
{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}
{% if no %}{% set y = 2 %}{% endif %}{{ y }}|{{ y is defined }}
{% if no %}{% set s = 2 %}{% endif %}{{ s }}
{% set s = s ~ '!' %}{{ s }}
{% for x in l %}{{ s }}{% set s = x %}{{ s }} {% endfor %}{{ s }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = 'xy' %}{{ a }}{{ b }}
{% set a, b = [1, [2, 3]] %}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set (a, b) = (1, 2) %}{{ a + b }}
{% set a, b = 1 %}
{% set a, b = [1] %}
{% set a, b = [1, 2, 3] %}
{% set a, b = nil %}
{% set ns = namespace(c=0, found=false) %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}{{ ns.found }}
{% set ns = namespace() %}{% set ns.x = 1 %}{% set ns.x, y = 2, 3 %}{{ ns.x }}{{ y }}{{ ns }}
{% set ns = namespace(a=[]) %}{% set ns.a = ns.a + [1] %}{% set ns.a = ns.a + [2] %}{{ ns.a }}
{% set d.x = 1 %}
{% set nope.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set ns = namespace() %}{{ ns.missing }}|{{ ns.missing is defined }}
{% set ns = namespace() %}{{ ns.missing.x }}
{% set x %}block {{ s }}{% endset %}[{{ x }}]
{% set x | upper %}block {{ s }}{% endset %}[{{ x }}]
{% set x | replace('o', '0') | title %}foo {{ s }}{% endset %}{{ x }}{{ x is string }}
{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}
{% filter upper %}text {{ s }}{% endfilter %}
{% filter replace('e', '3') | trim %} eee {{ s }} {% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}
{% macro m(a, b='dflt', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 2) }}|{{ m(1, c=3) }}|{{ m(b=1, a=2) }}|{{ m() }}
{% macro m(a) %}{{ a is defined }}{{ a }}{% endmacro %}{{ m() }}
{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}
{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(1) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}
{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}
{% macro m() %}x{% endmacro %}{{ m(1) }}
{% macro m(a) %}x{% endmacro %}{{ m(1, 2) }}
{% macro m() %}x{% endmacro %}{{ m(y=1) }}
{% macro m(a) %}x{% endmacro %}{{ m(1, a=1) }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body {{ s }}{% endcall %}
{% macro m(l) %}{% for x in l %}{{ caller(x) }};{% endfor %}{% endmacro %}{% call(x) m(l) %}<{{ x }}>{% endcall %}
{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5, c=6) m() %}{{ a }}{{ b }}{{ c }}{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}{% if caller %}{{ caller() }}{% else %}none{% endif %}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro m() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}
{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{{ m() }}{{ x is defined }}
{% macro f(n) %}{% if n > 1 %}{{ n * (f(n - 1)|int) }}{% else %}1{% endif %}{% endmacro %}{{ f(10) }}
{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{% macro r(n) %}{{ r(n + 1) }}{% endmacro %}{{ r(0) }}
{% macro r(x) %}{% for k, v in x.items() %}{{ k }}:{% if v is mapping %}{{ '{' }}{{ r(v) }}{{ '}' }}{% else %}{{ v }}{% endif %};{% endfor %}{% endmacro %}{{ r({'a': 1, 'b': {'c': {'d': 2}}}) }}
{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}
{% macro m() %} a {{ s }} {% endmacro %}{{ m()|trim|length }}{{ m() is string }}
{% if l %}L{% elif s %}S{% else %}E{% endif %}
{% if el %}L{% elif s %}S{% else %}E{% endif %}
{% if el %}L{% elif e %}S{% else %}E{% endif %}
{% if el %}L{% elif e %}S{% endif %}
{% if not undefinedname %}ok{% endif %}
{% if undefinedname.x %}ok{% endif %}
{% if 1, %}tuple{% endif %}
{% block title %}T{{ s }}{% endblock %}
{% block a %}{% set x = 1 %}{{ x }}{% endblock a %}{{ x is defined }}
{% print 1, s %}
{% raw %}{{ not }} {% parsed %}{% endraw %}
{% raw -%}  a {{ b }} {%- endraw %}
a {# comment #} b
{# {{ s }} {% if %} #}x
{#- x -#} y
{% generation %}G{{ s }}{% endgeneration %}
a{% generation %}{% for x in l %}{{ x }}{% endfor %}{% endgeneration %}b{% generation %}c{% endgeneration %}
{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}%N{% endfor %}
{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}
{% if s is nosuch %}{% endif %}
{% if no %}{{ s|nosuch }}{% endif %}ok
{% if t %}{{ s|nosuch }}{% endif %}
{{ s|nosuch if no else 'ok' }}
{{ 'x' if no else s|nosuch }}
{% if no %}{{ s is nosuch }}{% endif %}ok
{% if t %}{{ s is nosuch }}{% endif %}
{% macro m() %}{{ s|nosuch }}{% endmacro %}
{% if
{% if x
{% if x %}
{% if x %}{% else %}
{% for x in l %}
{% for x in l %}{% endif %}
{% if x %}{% endfor %}
{% for x l %}{% endfor %}
{% for 1 in l %}{% endfor %}
{% for x.y in l %}{% endfor %}
{% for loop in l %}{% endfor %}
{% for x in %}{% endfor %}
{% for x in l %}{% elif %}{% endfor %}
{% endfor %}
{% else %}
{% nosuch %}
{% %}
{% 1 %}
{% set %}
{% set 1 = 2 %}
{% set x.y.z = 2 %}
{% set x[0] = 2 %}
{% set 'a' = 2 %}
{% set none = 2 %}
{% set x = %}
{% set x = 1
{% set x %}
{% macro %}{% endmacro %}
{% macro m %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(1) %}{% endmacro %}
{% macro m() %}
{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}
{% macro m(caller=1) %}{{ caller }}{% endmacro %}{{ m() }}
{% call x %}{% endcall %}
{% call m() %}
{% filter %}{% endfilter %}
{% filter nosuch %}{% endfilter %}
{% do l.append(1) %}
{% trans %}x{% endtrans %}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{% from 'x' import y %}
{% block a-b %}{% endblock %}
{{
{{ s
{{ }}
{{ s }
{{ s %}
{% s }}
{#
{# x
{% raw %}
{% raw %}x
{% raw %}x{% endra %}
x {{
x {#
{{ '{{' }}{{ '}}' }}{{ '%}' }}
{{ {'a': {'b': 1}} }}
{{ {'a': {'b': 1}}}}
{{- s -}}
  {{- s -}}  
  {{+ s }}  
 a {{- s -}} b 
a%N{% if t %}%Nb%N{% endif %}%Nc
a%N  {% if t %}  %N  b%N  {% endif %}  %Nc
a%N  {%- if t %}%N  b%N  {%- endif %}%Nc
a%N  {%- if t -%}%N  b%N  {%- endif -%}%Nc
a%N  {%+ if t %}%N  b%N  {%+ endif %}%Nc
a%N{% if t +%}%Nb%N{% endif +%}%Nc
a%N  {# comment #}%Nb
a%N  {#- comment -#}%Nb
a%N  {#+ comment +#}%Nb
a  {# comment #}  b
a%N%N{{ s }}%N%Nb%N
a%N%N%N
%N%Na
{{ s }}%N
{{ s }}%N%N
{% if t %}x{% endif %}%N
{% if t %}x{% endif %}%N%N
  x  {% if t %}y{% endif %}  z  
	{% if t %}tab{% endif %}
x{% if t %}  {% endif %}y
{% if t %}%N%N%Nx%N%N{% endif %}%N%Ny
{% for x in l %}%N  {{ x }}%N{% endfor %}%Nend
{%- for x in l -%}%N  {{ x }}%N{%- endfor -%}%Nend
{% for x in l %}{{ x }}%N{% endfor %}
{% set x = 1 %}%N  {% set y = 2 %}%N{{ x + y }}%N
 {% raw %} {{ x }} %N {% endraw %} %Nx
 {% raw -%} %N {{ x }} %N {%- endraw -%} %Nx
 {%- raw %} {{ x }} {% endraw +%} %Nx
{% raw %}%Nx%N{% endraw %}%Ny
%N{{ 1 }}%N{{ undefinedname.x }}
%N%N{% if t %}%N{{ raise_exception('line 4') }}%N{% endif %}
{%%N if t %N%}x{% endif %}%N{{ 1 + %N nil }}
{{ s -}} %N x
{{ s }} {%- if t %} x{% endif %}
 {%- set x = 1 %} y
{{ 'a' -}}   {{- 'b' }}
a b {%- set x = 1 -%}   c
{{ "a%Nb" }}
{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ '<|' ~ m.role ~ '|>' }}{% endfor %}
{% for m in messages[::-1] %}{{ m.role }}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}
{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{{ ns.last }}
{% for t in tools %}{{ t.function.name }}{% for k, v in t.function.parameters.properties.items() %}{{ k }}:{{ v.type }}{% endfor %}{% endfor %}
{% set x = messages|selectattr('role', 'equalto', 'user')|list %}{{ x|length }}{{ x[-1].content }}
{% set g = l|map('string') %}{{ g|list }}{{ g|list }}
{% set g = l|select('odd') %}{{ g|first }}{{ g|list }}
{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}
{% for x in l|map('string') %}{{ x }}{{ loop.length }}{{ loop.last }};{% endfor %}
{% for x in undefinedname %}x{% else %}none{% endfor %}
{% for x in nil %}x{% endfor %}
{% for x in i %}x{% endfor %}
{% for x, y in l %}x{% endfor %}
{% for x in l %}{{ loop }}{% endfor %}
{% for x in l %}{{ loop.nope }}{{ loop.nope is defined }}{% endfor %}
{% for x in l %}{{ loop.nope.x }}{% endfor %}
{% for x in l %}{{ loop.cycle() }}{% endfor %}
{{ loop.index }}
{{ m(1) }}{% macro m(x) %}{{ x }}{% endmacro %}
{% set f = s.upper %}{{ f() }}
{% set x = d.items %}{{ x()|list }}
{% set x = [1, 2] %}{% set y = x %}{{ x == y }}{{ x is sameas y }}
{% set x = 'a' %}{% set x = x ~ x %}{% set x = x ~ x %}{{ x }}
{{ m(*[1, 2], **{'c': 3}) }}{% macro m(a, b, c) %}{{ a }}{% endmacro %}
{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}{{ m(*'xyz') }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*1) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**1) }}
{% macro outer() %}{% macro inner() %}I{{ s }}{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}
{% if true: %}x{% endif %}
{% for x in (1, 2, 3) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}
{% for x in l if loop.first %}{{ x }}{% endfor %}
{% for x in rows if x.v is defined and x.v > 1 %}{{ x.n }}{% endfor %}
{% set s = 'inner' %}{% macro m() %}{{ s }}{% endmacro %}{{ m() }}
{% for s in ls %}{{ s }}{% endfor %}{{ s }}
{% set x = 0 %}{% for i in l %}{% if i > 1 %}{% set x = x + i %}{% endif %}{{ x }};{% endfor %}{{ x }}
{% if t %}{% for x in l %}{% if x == 2 %}{{ x }}{% endif %}{% endfor %}{% endif %}
{{ caller }}{{ varargs }}{{ kwargs is defined }}
{{ range(3)|map('string')|join('-') }}{{ range(2, 5)|last }}
{{ ("a" "b") }}{{ 'x' 'y'|upper }}
{{ s | default('x') | upper | replace('L', '_') | length }}
{% macro m(a) %}{{ kwargs }}{% for k in kwargs %}{{ k }}{{ k|upper }}{% endfor %}{% endmacro %}{% call m(1) %}x{% endcall %}{{ m(1, z=2) }}
{{ '\x7f\x1f~é'|tojson(ensure_ascii=true) }}{{ '\x7f'|tojson }}
{{ -0.0|round(1, 'floor') }} {{ -0.5|round(0, 'ceil') }}
{{ '%c|%c' % (0, 65) }}{{ '{:c}'.format(0)|length }}
{{ '{:,}'.format(s) }}
{{ '{:_}'.format('x') }}
{{ '{:,x}'.format(5) }}
{{ '{:_x} {:,d} {:,} {:_b}'.format(65536, 1234567, 1234.5, 255) }}
{{ dict(nothing_here) }}
{{ [] is filter }}
{{ {} is test }}
{% filter length %}abc{% endfilter %}
{{ [1, nothing_here]|map(attribute='a.b')|length }}
{% set unused = [1]|map(attribute='a.b') %}{{ ['x', 5]|map('first')|first }}
{{ ['x', 5]|map('first')|list }}
{{ ['a', 5]|map('first')|map('upper')|first }}{{ [1, 'x']|select('odd')|first }}
{{ [{'a': {'b': 1}}, 5]|selectattr('a.b')|first }}{% set unused = [1]|rejectattr('a.b') %}
{{ [1, 'x']|select('odd')|list }}
{% set unused = [[1]]|unique %}{{ [1, [2]]|unique|first }}
{{ [1, [2]]|unique|list }}
{% set unused = 5|map('upper') %}{{ 5|select|list }}
"""


def templates():
    for line in EXPRESSIONS.strip("\n").split("\n"):
        yield "{{ " + line + " }}", "v"
    for line in STATEMENTS.strip("\n").split("\n"):
        yield line.replace("%N", "\n"), "v"


CASES = list(templates())
